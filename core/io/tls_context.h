// OpenSSL's contexts, shared and kept fresh. Of the room's inside.
//
// Threads: any.
#pragma once
#include <openssl/types.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace gorb::io {

// The context of a CA file ("": the system's) and a client certificate ("": none). The same object as long as
// the files are the same; at most 64 are remembered.
base::Result<std::shared_ptr<SSL_CTX>> tls_context(const std::string& ca, const std::string& cert,
                                                   const std::string& key);

}  // namespace gorb::io
