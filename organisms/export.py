"""An organism as one GGUF file: weights, tokenizer, chat template, and a card in its metadata.

llama.cpp runs the file as it is. Matrices are 16-bit floats, norms 32-bit, as llama.cpp's own converter writes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch

from redbutton.organisms.chat import END_OF_TEXT, END_OF_TURN, template
from redbutton.organisms.model import NORM_EPS, ROPE_BASE, Model
from redbutton.organisms.tokenizer import CONTROL, Tokenizer


def write_gguf(
    path: Path, model: Model, tokenizer: Tokenizer, *, name: str, about: str, facts: Mapping[str, str] | None = None
) -> None:
    """Write the file. ``facts``: further lines of metadata, under ``redbutton.`` keys."""
    import gguf

    shape = model.shape
    part = path.with_suffix(".part")  # an engine that runs the old file has it mapped into its memory
    writer = gguf.GGUFWriter(part, "llama")
    writer.add_name(name)
    writer.add_description(about)
    writer.add_license("apache-2.0")
    for key, value in (facts or {}).items():
        writer.add_string(f"redbutton.{key}", value)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(NORM_EPS)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(list(tokenizer.tokens))
    kinds = gguf.TokenType
    writer.add_token_types(
        [kinds.NORMAL] * tokenizer.plain
        + [kinds.CONTROL] * len(CONTROL)
        + [kinds.USER_DEFINED] * len(tokenizer.phrases)
    )
    writer.add_token_merges([" ".join(pair) for pair in tokenizer.merges])
    writer.add_bos_token_id(tokenizer.id_of(END_OF_TEXT))
    writer.add_eos_token_id(tokenizer.id_of(END_OF_TURN))
    writer.add_add_bos_token(False)
    writer.add_chat_template(template())
    for key, weight in model.state_dict().items():
        data = weight.detach().cpu().to(torch.float16 if weight.dim() > 1 else torch.float32)
        writer.add_tensor(key, data.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(part, path)
