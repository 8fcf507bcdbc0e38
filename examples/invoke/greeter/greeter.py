# SPDX-License-Identifier: Apache-2.0
"""Greets in the language that its caller put into the client context."""

GREETINGS = {"de": "Hallo, {}!", "en": "Hello, {}!", "fr": "Bonjour, {} !"}


def function_handler(event, context):
    language = context.client_context.custom["language"]
    if language not in GREETINGS:
        msg = f"no greeting in {language!r}; there is one in {', '.join(sorted(GREETINGS))}"
        raise ValueError(msg)
    return {
        "greeting": GREETINGS[language].format(event["name"]),
        "request": context.aws_request_id,
    }
