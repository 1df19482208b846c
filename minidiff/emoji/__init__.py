"""The shipped demo's own world: four open emoji sets, their captions, and how the demo is judged.

names      what a concept is called and which concepts are near duplicates
data       the four sets joined into one packed file of 64x64 pictures
prompts    the evaluation prompts, drawn once and committed before any training
captions   the texts a picture is trained with
tokenizer_train   the SentencePiece model that cuts those texts into pieces
evaluate   naming, colours, styles and denoising, measured (`make eval-demo`)
"""
