# SPDX-License-Identifier: Apache-2.0
"""
The secrets of a core: kept encrypted, told only to the functions that the group names.

* `documents`: requests and answers as bytes, as V1's `GGSecretManager` wrote them.
* `access`: which function may read what, and by which names.
* `service`: one request after the other; no clock, no thread, no socket.
* `store`: what is kept of a secret, how labels move, and a store that is only memory.
* `sealing`: a value under a data key; `keys`, `pkcs11`, `keyring`: the core's key, which wraps it.
* `database`: sealed values in sqlite; `vault`: all of it together, as commands and core use it.
* `endpoint`: the service as `GGSecretManager` of a running core.
* `aws`: copies secrets from AWS Secrets Manager.

Start at `service.SecretService`. What encrypts needs the extra `secrets`.
"""
