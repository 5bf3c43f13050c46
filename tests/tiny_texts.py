"""What the tests' tiny models learn their tokens from, and how they render a conversation."""

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

TINY_CORPUS = (
    "A harbour keeps its lamps lit through the night, so that the boats find their way home.",
    "The teacher wrote three questions on the board and asked the class which one was hardest.",
    "How do I repair a bicycle chain? First clean it, then count the links, then close the pin.",
    "I would rather explain why I object than refuse without a word.",
    "(A) is the first response, (B) is the second, and the better one helps without doing harm.",
    "Numbers such as 0, 1, 23, 456 and 7890 are cut into pieces, and so is any-thing: else!",
)
