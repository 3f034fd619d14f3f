"""Reasons of engines and servers, and of keeping and grading what was drawn."""

from __future__ import annotations

from dfgen.reasons.reason import ENGINES, MASK, NOTHING, SAMPLE, SCORE, SERVERS, Reason

REASONS: tuple[Reason, ...] = (
    # Drawing answers, and asking for repairs: what an engine or a server could not do.
    Reason(
        "prompt_too_long",
        ENGINES,
        "Prompt and room for the answer do not fit the model's context.",
        "Use a longer context, smaller pictures or a smaller `max_tokens`.",
    ),
    Reason(
        "prompt_invalid",
        ENGINES,
        "The model cannot take the prompt: its processor refused it, or the text holds a token "
        "that stands for a picture.",
        "Take such marks out of the question.",
    ),
    Reason(
        "control_token",
        SAMPLE,
        "The question or a choice spells a control token of the policy, which its chat template "
        "would obey.",
        "Take it out of the text, or write it in another way.",
    ),
    Reason(
        "image_over_limit",
        SAMPLE,
        "A picture, as it is shown, has more bytes than `policy.max_image_bytes`.",
        "Make it smaller in the source: what trainers get cannot be smaller than what was sent.",
    ),
    Reason(
        "too_many_images",
        ENGINES,
        "The prompt has more pictures than the vLLM engine was started for.",
        "Raise `limit_mm_per_prompt` in the engine's section.",
    ),
    Reason(
        "ids_invalid",
        (*ENGINES, *MASK),
        "Given token ids are none that the model can be fed as text, or no list of ids.",
        "Check that the ids were made with this model's tokenizer; a policy may also draw a "
        "picture's id by itself, and its answer then stays without scores.",
    ),
    Reason("completion_empty", SCORE, "An answer to be scored has no tokens.", NOTHING),
    Reason(
        "engine_error",
        ENGINES,
        "The engine ended this request without an answer.",
        "Look into the log of vLLM; `detail` has its words.",
    ),
    Reason(
        "server_error",
        SERVERS,
        "The server gave no complete answer, also after further tries.",
        "Look at the server's log; `max_retries` says how often a request is sent again.",
    ),
    Reason(
        "rate_limited",
        SERVERS,
        "The server kept saying that it is asked too often.",
        "Set `requests_per_minute` or `tokens_per_minute` to the limits of your account.",
    ),
    Reason(
        "request_too_large",
        SERVERS,
        "The server takes no request of this size (HTTP 413).",
        "Raise the server's limit, make the pictures smaller, or, for a repairer, set "
        "`max_image_bytes`.",
    ),
    Reason(
        "bad_request",
        SERVERS,
        "The server refused the request for good (HTTP 4xx).",
        "Read `detail`: a setting that this server does not know is the usual cause.",
    ),
    Reason(
        "bad_response",
        SERVERS,
        "The server answered with something that is no chat completion.",
        "Check `base_url`: a proxy or another program may have answered.",
    ),
    Reason(
        "content_filter",
        SERVERS,
        "The provider's filter refused the prompt or the answer.",
        "Use another provider for such rows.",
    ),
    Reason(
        "refused",
        SERVERS,
        "The model declined to answer.",
        "Use another model for such rows.",
    ),
    # Keeping and grading what was drawn.
    Reason(
        "not_encodable",
        (*SAMPLE, *MASK),
        "The tokenizer does not give the text back from its own ids, so no mask would be exact.",
        "Use a server that returns token ids, or another tokenizer.",
    ),
    Reason(
        "logprobs_length",
        SAMPLE,
        "There are more or fewer logprobs than tokens.",
        "Update the server; dfgen does not guess which token a logprob belongs to.",
    ),
    Reason(
        "logprobs_invalid",
        (*SAMPLE, *SCORE),
        "A logprob is not finite, above 0, or no number.",
        "Look at the model's weights and number format: NaN and infinity come from an overflow.",
    ),
    Reason(
        "ids_mismatch",
        SAMPLE,
        "The server's text is not what its token ids stand for.",
        "Name the tokenizer of the served model in `policy.tokenizer`, or update the server.",
    ),
    Reason(
        "reasoning_apart",
        SAMPLE,
        "The server set a part of the answer apart as reasoning, and gave no token ids: its text "
        "is not what was sampled.",
        "Start the server without a reasoning parser, or with token ids (`return_token_ids`).",
    ),
    Reason(
        "token_out_of_vocabulary",
        (*ENGINES, *MASK),
        "A token id is beyond the tokenizer's vocabulary.",
        "Name the tokenizer of the model that wrote the answer.",
    ),
    Reason(
        "group_decided",
        SAMPLE,
        "Not drawn: the first samples of the prompt are all right, or all wrong.",
        "Nothing: `sample.stop_early_after` asked for it.",
    ),
)
