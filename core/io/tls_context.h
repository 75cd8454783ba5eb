// OpenSSL's contexts, shared and kept fresh. Of the room's inside.
//
// Threads: any.
#pragma once
#include <openssl/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace gorb::io {

// Each check asks for its context, on the thread of all checks of its share, and to read the system's CAs
// takes tens of ms and most of a MiB: what is in use is kept, however many there are, and CAs are read once
// for all contexts that trust them.
class TlsContexts {
  public:
    static constexpr size_t always = 64;  // as many are kept, however long nobody has asked for them
    static constexpr uint64_t idle = 3600 * base::second;  // of more than that, those asked for since

    explicit TlsContexts(const base::Clock& clock) : clock_(clock) {}

    // The context of a CA file ("": the system's) and a client certificate ("": none). The same object as
    // long as the files are the same.
    base::Result<std::shared_ptr<SSL_CTX>> get(const std::string& ca, const std::string& cert,
                                               const std::string& key);
    size_t size() const;

    // What tells that a file is another one now.
    struct Stamp {
        int64_t seconds = 0, nanoseconds = 0;
        uint64_t inode = 0, size = 0;
        bool operator==(const Stamp&) const = default;
    };

  private:
    using Names = std::array<std::string, 3>;  // CA, certificate, key
    using CaStamps = std::array<Stamp, 2>;
    using Stamps = std::array<Stamp, 4>;
    struct Context {
        Stamps stamps;
        std::shared_ptr<X509_STORE> store;
        std::shared_ptr<SSL_CTX> made;
        uint64_t used = 0;
    };
    struct Store {
        CaStamps stamps;
        std::weak_ptr<X509_STORE> made;
    };

    base::Result<std::shared_ptr<X509_STORE>> store_of(const std::string& ca, const CaStamps& stamps);
    void forget(uint64_t now, std::vector<Context>& gone);

    const base::Clock& clock_;
    mutable std::mutex mutex_;
    // All under mutex_.
    std::map<Names, Context> contexts_;
    std::map<std::string, Store> stores_;  // by CA
    uint64_t looked_ = 0;                  // for what is idle
};

// Of the process.
base::Result<std::shared_ptr<SSL_CTX>> tls_context(const std::string& ca, const std::string& cert,
                                                   const std::string& key);

}  // namespace gorb::io
