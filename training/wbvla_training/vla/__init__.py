"""The vision-language-action model: configuration, model, processing, training, evaluation and export."""
