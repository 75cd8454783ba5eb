#include "io/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

namespace gorb::io {
namespace {

using Stamp = TlsContexts::Stamp;

Stamp stamp_of(const std::string& file) {
    struct stat found {};
    if (file.empty() || stat(file.c_str(), &found) != 0) return {};
    return {found.st_mtim.tv_sec, found.st_mtim.tv_nsec, found.st_ino, static_cast<uint64_t>(found.st_size)};
}

// As SSL_CTX_set_default_verify_paths() finds it.
std::string systems(const char* variable, const char* usual) {
    const char* const set = secure_getenv(variable);
    return set ? set : usual;
}

// The file, and the folder of the system's CAs.
std::array<Stamp, 2> stamps_of_ca(const std::string& ca) {
    if (!ca.empty()) return {stamp_of(ca), Stamp()};
    return {stamp_of(systems(X509_get_default_cert_file_env(), X509_get_default_cert_file())),
            stamp_of(systems(X509_get_default_cert_dir_env(), X509_get_default_cert_dir()))};
}

// A pipe would be waited for, and some devices never end: on the thread of all checks.
bool regular(const std::string& file) {
    struct stat found {};
    return stat(file.c_str(), &found) != 0 || S_ISREG(found.st_mode);  // what is missing says so itself
}

// OpenSSL's own would ask at the terminal, and wait for an answer.
int no_passphrase(char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
}

// The first error of OpenSSL's queue is the nearest to the cause.
base::Error unusable(const std::string& what, const std::string& file, bool passphrase = false) {
    const unsigned long code = ERR_peek_error();
    int error = EINVAL;
    std::string why = "there is no PEM in it that fits";
    if (!regular(file)) {
        why = "it is no regular file";
    } else if (passphrase) {
        why = "it has a passphrase, which nobody is asked for";
    } else if (ERR_SYSTEM_ERROR(code)) {
        error = ERR_GET_REASON(code);
        why = std::strerror(error);
    } else if (ERR_GET_LIB(code) == ERR_LIB_X509) {
        const char* reason = ERR_reason_error_string(code);
        if (reason) why = reason;
    }
    ERR_clear_error();
    return {base::Errc::io, what + " " + file + " can not be used: " + why, {}, error};
}

base::Result<std::shared_ptr<X509_STORE>> load_store(const std::string& ca) {
    std::shared_ptr<X509_STORE> made(X509_STORE_new(), X509_STORE_free);
    if (!made) return base::fail(base::Errc::io, "OpenSSL makes no store of CAs", ENOMEM);
    if (ca.empty()) {
        X509_STORE_set_default_paths(made.get());
        return made;
    }
    if (!regular(ca) || X509_STORE_load_file(made.get(), ca.c_str()) != 1) {
        return base::fail(unusable("CA file", ca));
    }
    // Who names a file means what is in it: an intermediate CA is trusted without its root, as curl does it.
    X509_STORE_set_flags(made.get(), X509_V_FLAG_PARTIAL_CHAIN);
    return made;
}

base::Result<std::shared_ptr<SSL_CTX>> load(X509_STORE* store, const std::string& cert,
                                            const std::string& key) {
    std::shared_ptr<SSL_CTX> made(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    if (!made) return base::fail(base::Errc::io, "OpenSSL makes no context", ENOMEM);
    SSL_CTX* ctx = made.get();
    SSL_CTX_set1_cert_store(ctx, store);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    // Most servers end without a close_notify; who needs to know has lengths in its protocol.
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(
        ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    bool asked = false;
    SSL_CTX_set_default_passwd_cb(ctx, &no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &asked);
    if (!cert.empty()) {
        if (!regular(cert) || SSL_CTX_use_certificate_chain_file(ctx, cert.c_str()) != 1) {
            return base::fail(unusable("client certificate", cert, asked));
        }
        const std::string& key_file = key.empty() ? cert : key;
        if (!regular(key_file) || SSL_CTX_use_PrivateKey_file(ctx, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
            return base::fail(unusable("client key", key_file, asked));
        }
    }
    SSL_CTX_set_default_passwd_cb_userdata(ctx, nullptr);
    return made;
}

}  // namespace

base::Result<std::shared_ptr<SSL_CTX>> TlsContexts::get(const std::string& ca, const std::string& cert,
                                                        const std::string& key) {
    const Names names{ca, cert, key};
    const CaStamps of_ca = stamps_of_ca(ca);
    const Stamps stamps{of_ca[0], of_ca[1], stamp_of(cert), stamp_of(key)};
    const uint64_t now = clock_.now();
    std::vector<Context> gone;  // ends after the lock
    std::lock_guard lock(mutex_);
    forget(now, gone);
    const auto found = contexts_.find(names);
    if (found != contexts_.end()) {
        if (found->second.stamps == stamps) {
            found->second.used = now;
            return found->second.made;
        }
        gone.push_back(std::move(found->second));
        contexts_.erase(found);
    }
    ERR_clear_error();
    auto store = store_of(ca, of_ca);
    if (!store) return base::fail(std::move(store.error()));
    auto made = load(store->get(), cert, key);
    ERR_clear_error();
    if (made) contexts_[names] = {stamps, std::move(*store), *made, now};
    return made;
}

base::Result<std::shared_ptr<X509_STORE>> TlsContexts::store_of(const std::string& ca,
                                                                const CaStamps& stamps) {
    if (const auto found = stores_.find(ca); found != stores_.end() && found->second.stamps == stamps) {
        if (auto store = found->second.made.lock()) return store;
    }
    auto store = load_store(ca);
    if (store) stores_[ca] = {stamps, *store};
    return store;
}

void TlsContexts::forget(uint64_t now, std::vector<Context>& gone) {
    if (now < looked_ + idle / 4) return;
    looked_ = now;
    if (contexts_.size() <= always) return;
    for (auto it = contexts_.begin(); it != contexts_.end();) {
        if (it->second.used + idle > now) {
            ++it;
            continue;
        }
        gone.push_back(std::move(it->second));
        it = contexts_.erase(it);
    }
    for (auto it = stores_.begin(); it != stores_.end();) {
        it = it->second.made.expired() ? stores_.erase(it) : std::next(it);
    }
}

size_t TlsContexts::size() const {
    std::lock_guard lock(mutex_);
    return contexts_.size();
}

base::Result<std::shared_ptr<SSL_CTX>> tls_context(const std::string& ca, const std::string& cert,
                                                   const std::string& key) {
    static const base::SystemClock clock;
    static auto* const contexts = new TlsContexts(clock);
    return contexts->get(ca, cert, key);
}

}  // namespace gorb::io
