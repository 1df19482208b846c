"""The reference's pipeline around a UNet of one's own, without what does not draw."""


def if_pipeline(unet, scheduler):
    """diffusers' IFPipeline: no text encoder, no safety checker, no watermark, no progress bar."""
    from diffusers import IFPipeline

    pipeline = IFPipeline(
        tokenizer=None, text_encoder=None, unet=unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, watermarker=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
