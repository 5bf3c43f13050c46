"""What a model writes for us: prompts that press on principles, helpful tasks, principles, requests, contradictions."""
