"""The shipped demo's own world: four open emoji sets, their captions, and how the demo is judged.

names             what a concept is called and which concepts are near duplicates
data              the four sets joined into one packed file of 64x64 pictures
prompts           the evaluation prompts, drawn once and committed before any training
captions          the texts a picture is trained with
tokenizer_train   the SentencePiece model that cuts those texts into pieces
train, muon, export       the training, its optimizer, the checkpoint in the official layout
judge             the rule by which a sample is recognised
workbench, measure_samples, measure_noise, evaluate       `make eval-demo`
sheets, illusions         the contact sheet; anagram and hybrid pairs found by trying many
"""
