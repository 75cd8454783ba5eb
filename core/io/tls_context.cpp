#include "io/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

namespace gorb::io {
namespace {

constexpr size_t remembered = 64;

using Names = std::array<std::string, 3>;  // CA, certificate, key

// What tells that a file is another one now.
struct Stamp {
    int64_t seconds = 0, nanoseconds = 0;
    uint64_t inode = 0, size = 0;
    bool operator==(const Stamp&) const = default;
};
using Stamps = std::array<Stamp, 4>;  // the last one: the folder of the system's CAs

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

Stamps stamps_of(const Names& names) {
    Stamps stamps;
    for (size_t i = 0; i < names.size(); ++i) stamps[i] = stamp_of(names[i]);
    if (!names[0].empty()) return stamps;
    stamps[0] = stamp_of(systems(X509_get_default_cert_file_env(), X509_get_default_cert_file()));
    stamps[3] = stamp_of(systems(X509_get_default_cert_dir_env(), X509_get_default_cert_dir()));
    return stamps;
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

base::Result<std::shared_ptr<SSL_CTX>> load(const Names& names) {
    const auto& [ca, cert, key] = names;
    ERR_clear_error();
    std::shared_ptr<SSL_CTX> made(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    if (!made) return base::fail(base::Errc::io, "OpenSSL makes no context", ENOMEM);
    SSL_CTX* ctx = made.get();
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    // Most servers end without a close_notify; who needs to know has lengths in its protocol.
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(
        ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    bool asked = false;
    SSL_CTX_set_default_passwd_cb(ctx, &no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &asked);
    if (ca.empty()) {
        SSL_CTX_set_default_verify_paths(ctx);
    } else if (!regular(ca) || SSL_CTX_load_verify_file(ctx, ca.c_str()) != 1) {
        return base::fail(unusable("CA file", ca));
    }
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
    ERR_clear_error();
    return made;
}

}  // namespace

base::Result<std::shared_ptr<SSL_CTX>> tls_context(const std::string& ca, const std::string& cert,
                                                   const std::string& key) {
    static std::mutex mutex;
    static auto* const known = new std::map<Names, std::pair<Stamps, std::shared_ptr<SSL_CTX>>>;
    const Names names{ca, cert, key};
    const Stamps stamps = stamps_of(names);
    std::lock_guard lock(mutex);
    const auto found = known->find(names);
    if (found != known->end() && found->second.first == stamps) return found->second.second;
    auto loaded = load(names);
    if (!loaded) {
        if (found != known->end()) known->erase(found);
        return loaded;
    }
    if (found == known->end() && known->size() >= remembered) known->erase(known->begin());
    (*known)[names] = {stamps, *loaded};
    return loaded;
}

}  // namespace gorb::io
