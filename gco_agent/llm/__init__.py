"""Language models: the protocol, providers, prices, and the record of every exchange.

* `base`       records of requests and answers, the protocol of a model, a model with a script
* `asking`     `ask`: retries, limits, the account of a run
* `prices`     prices of tokens
* `server`     what models behind servers share; `anthropic` and `openai` are these
* `providers`  models by name
"""
