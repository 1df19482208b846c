"""DeepFloyd IF, stage I: prompt -> tokenizer -> T5 encoder -> UNet, and the folder's loader."""
