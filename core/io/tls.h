// TLS for client connections: OpenSSL on a socket that somebody else owns and watches.
//
// TLS 1.2 and newer. A session reads and writes its socket itself, so it keeps one record at most in memory.
// Contexts (CAs, client certificates) are shared by all sessions that name the same files, and read again
// when a file has changed.
//
// Threads: make() any; a session the thread that owns its connection.
#pragma once
#include <openssl/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"

namespace gorb::io {

struct TlsOptions {
    bool verify = false;  // the chain, the dates and the name must be right
    std::string name;  // SNI, and whom the certificate must be for; "": for the peer's address, without SNI
    std::string alpn;  // "h2", or several: "h2,http/1.1"; "": none
    std::string ca;    // PEM file of CAs to trust; "": the system's
    std::string cert, key;  // PEM files of a client certificate and its key ("": in the same file); "": none
};

// What the other side showed of itself.
struct TlsPeer {
    bool verified = false;  // chain, dates and name are right, whether or not that was demanded
    // Unix seconds: the end of its certificate or, where that is earlier, of one that was needed to verify it
    // and is no root. 0: not known.
    int64_t not_after = 0;
    std::string alpn, subject;
};

class TlsSession {
  public:
    enum class Step : uint8_t { done, want_read, want_write, ended, failed };

    // For the connected socket `fd`, which must outlive it. Fails for trouble of our own: a file that can not
    // be read, with its name and the errno (ENOENT, EACCES, ...; EINVAL where there is no PEM in it).
    static base::Result<std::unique_ptr<TlsSession>> make(int fd, const base::Ip& peer,
                                                          const TlsOptions& options);
    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    // Each does what it can without waiting. ended: the other side has ended the stream. failed: see error().
    Step handshake();
    Step read(void* data, size_t size, size_t& got);
    Step write(const void* data, size_t size, size_t& put);

    // Says goodbye as far as that goes without waiting.
    void end();

    // A negative errno: -EPROTO where it is about TLS, -EINVAL where our certificate is refused and has
    // ended.
    int error() const { return error_; }
    const std::string& words() const { return words_; }  // why, for an operator; may be empty
    // After the handshake.
    const TlsPeer& peer();

  private:
    TlsSession(const base::Ip& peer, const TlsOptions& options);
    void set_expected();
    bool set_alpn(const std::string& list);
    void look_for_alert();
    static int on_verify(int good, X509_STORE_CTX* store);
    std::string certificate_words(X509_STORE_CTX* store) const;
    std::string library_words() const;
    Step stopped(int rc, bool handshaking);
    Step broken();
    Step fail(int error, std::string words);

    SSL* ssl_ = nullptr;
    int error_ = 0;
    base::Ip address_;
    std::string name_, alpn_, cert_, words_;
    std::unique_ptr<TlsPeer> peer_;  // once it was asked for
};

}  // namespace gorb::io
