// TLS for the test kit's connections: a client session on a socket, as gorb.net/1 describes it.
//
// Part of gorb/testing.hpp. Real TLS (OpenSSL 3) where GORB_TESTING_TLS is defined, the same way in every
// file of the test program, which then links ssl and crypto; without it FakeTls::make() refuses. Threads: the
// loop's.
#ifndef GORB_TESTING_TLS_HPP
#define GORB_TESTING_TLS_HPP
#include <gorb/sdk/values.hpp>

#include <memory>
#include <string>

#ifdef GORB_TESTING_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#endif

namespace gorb::testing {

struct FakeTlsOptions {
    bool verify = false;
    std::string name, alpn, ca, cert, key;
    gorb_addr peer{};
};

#ifdef GORB_TESTING_TLS

class FakeTls {
  public:
    enum class Step { done, want_read, want_write, ended, failed };

    // A session on the connected socket `fd`. nullptr, with a sentence, for trouble of our own: a file that
    // can not be read.
    static std::unique_ptr<FakeTls> make(const FakeTlsOptions& options, int fd, std::string& why) {
        std::unique_ptr<FakeTls> tls(new FakeTls(options));
        if (!tls->set_up(fd, why)) return nullptr;
        return tls;
    }
    ~FakeTls() {
        SSL_free(ssl_);
        SSL_CTX_free(ctx_);
        ERR_clear_error();
    }
    FakeTls(const FakeTls&) = delete;
    FakeTls& operator=(const FakeTls&) = delete;

    // Each does what it can without waiting. failed: see error() and words().
    Step handshake() {
        ERR_clear_error();
        const int rc = SSL_do_handshake(ssl_);
        if (rc != 1) return stopped(rc, true);
        return Step::done;
    }
    Step read(char* data, size_t size, size_t& got) {
        ERR_clear_error();
        const int rc = SSL_read_ex(ssl_, data, size, &got);
        return rc == 1 ? Step::done : stopped(rc, false);
    }
    Step write(const char* data, size_t size, size_t& put) {
        ERR_clear_error();
        const int rc = SSL_write_ex(ssl_, data, size, &put);
        if (rc == 1) return Step::done;
        const Step step = stopped(rc, false);
        if (step != Step::failed || !words_.empty()) return step;
        // The socket is broken; what the server said before it hung up tells more than that.
        ERR_clear_error();
        char byte = 0;
        size_t got = 0;
        const int read = SSL_peek_ex(ssl_, &byte, 1, &got);
        if (read != 1 && SSL_get_error(ssl_, read) == SSL_ERROR_SSL) broken();
        return step;
    }

    int error() const { return error_; }  // a negative errno
    const std::string& words() const { return words_; }

    // Of a session that is through with its handshake; the strings live as long as it.
    void peer(gorb_tls_peer& out) {
        if (X509* cert = SSL_get1_peer_certificate(ssl_)) {
            out.not_after = first_end(end_of(cert));
            BIO* text = BIO_new(BIO_s_mem());
            X509_NAME_print_ex(text, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
            subject_ = all_of(text);
            BIO_free(text);
            X509_free(cert);
        }
        const unsigned char* alpn = nullptr;
        unsigned size = 0;
        SSL_get0_alpn_selected(ssl_, &alpn, &size);
        agreed_.assign(reinterpret_cast<const char*>(alpn), size);
        out.verified = verified() ? 1 : 0;
        out.alpn = sdk::str(agreed_);
        out.subject = sdk::str(subject_);
    }

  private:
    explicit FakeTls(const FakeTlsOptions& options) : options_(options) {}

    bool verified() const { return SSL_get_verify_result(ssl_) == X509_V_OK; }

    static std::string all_of(BIO* bio) {
        char* data = nullptr;
        const long size = BIO_get_mem_data(bio, &data);
        return {data, static_cast<size_t>(size > 0 ? size : 0)};
    }
    static std::string why_file(const char* what, const std::string& file) {
        const unsigned long code = ERR_peek_error();  // the first is nearest to the cause
        const char* reason =
            ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
        return std::string(what) + " " + file + " can not be used: " + (reason ? reason : "no PEM in it");
    }
    bool set_up(int fd, std::string& why) {
        ERR_clear_error();
        ctx_ = SSL_CTX_new(TLS_client_method());
        if (!ctx_) return why = "OpenSSL makes no context", false;
        SSL_CTX_set_min_proto_version(ctx_, TLS1_2_VERSION);
        SSL_CTX_set_options(ctx_, SSL_OP_IGNORE_UNEXPECTED_EOF);
        SSL_CTX_set_mode(ctx_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        if (options_.ca.empty()) {
            SSL_CTX_set_default_verify_paths(ctx_);
        } else if (SSL_CTX_load_verify_file(ctx_, options_.ca.c_str()) != 1) {
            return why = why_file("the CA file", options_.ca), false;
        } else {
            X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx_), X509_V_FLAG_PARTIAL_CHAIN);
        }
        if (!options_.cert.empty()) {
            const std::string& key = options_.key.empty() ? options_.cert : options_.key;
            if (SSL_CTX_use_certificate_chain_file(ctx_, options_.cert.c_str()) != 1)
                return why = why_file("the client certificate", options_.cert), false;
            if (SSL_CTX_use_PrivateKey_file(ctx_, key.c_str(), SSL_FILETYPE_PEM) != 1)
                return why = why_file("the client key", key), false;
        }
        ssl_ = SSL_new(ctx_);
        BIO* bio = ssl_ ? BIO_new(method()) : nullptr;
        if (!bio) return why = "OpenSSL makes no session", false;
        // NOLINTNEXTLINE(performance-no-int-to-ptr): a BIO carries one pointer, and a descriptor fits
        BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
        BIO_set_init(bio, 1);
        SSL_set_bio(ssl_, bio, bio);
        SSL_set_connect_state(ssl_);
        SSL_set_app_data(ssl_, this);
        SSL_set_verify(ssl_, options_.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                       options_.verify ? &on_verify : nullptr);
        name_it();
        return true;
    }
    // SNI and what the certificate must be for: the name, or the address where there is none.
    void name_it() {
        X509_VERIFY_PARAM* param = SSL_get0_param(ssl_);
        std::string name = options_.name;
        if (name.size() > 1 && name.back() == '.') name.pop_back();
        if (name.empty()) {
            X509_VERIFY_PARAM_set1_ip(param, options_.peer.ip, options_.peer.family == 4 ? 4 : 16);
        } else if (X509_VERIFY_PARAM_set1_ip_asc(param, name.c_str()) != 1) {
            SSL_set_tlsext_host_name(ssl_, name.c_str());
            X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
            SSL_set1_host(ssl_, name.c_str());
        }
        std::string wire;  // each protocol with its length in front
        for (size_t at = 0; at < options_.alpn.size();) {
            const size_t end = std::min(options_.alpn.find(',', at), options_.alpn.size());
            wire += static_cast<char>(end - at);
            wire.append(options_.alpn, at, end - at);
            at = end + 1;
        }
        if (!wire.empty())
            SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(wire.data()),
                                static_cast<unsigned>(wire.size()));
        ERR_clear_error();
    }

    // -- the socket below
    static int fd_of(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }
    static int bio_write(BIO* bio, const char* data, int size) {
        BIO_clear_retry_flags(bio);
        const ssize_t n = ::send(fd_of(bio), data, static_cast<size_t>(size), MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
        return static_cast<int>(n);
    }
    static int bio_read(BIO* bio, char* data, int size) {
        BIO_clear_retry_flags(bio);
        const ssize_t n = ::recv(fd_of(bio), data, static_cast<size_t>(size), 0);
        if (n < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
        if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
        return static_cast<int>(n);
    }
    static long bio_ctrl(BIO* bio, int what, long, void*) {
        if (what == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
        return what == BIO_CTRL_FLUSH ? 1 : 0;
    }
    static const BIO_METHOD* method() {
        static BIO_METHOD* const made = [] {
            BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
            BIO_meth_set_write(m, &bio_write);
            BIO_meth_set_read(m, &bio_read);
            BIO_meth_set_ctrl(m, &bio_ctrl);
            return m;
        }();
        return made;
    }

    // -- what went wrong
    static int on_verify(int good, X509_STORE_CTX* store) {
        if (good) return 1;
        auto* ssl =
            static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
        auto* self = static_cast<FakeTls*>(SSL_get_app_data(ssl));
        self->words_ = self->certificate_words(store);
        return 0;
    }
    std::string certificate_words(X509_STORE_CTX* store) const {
        const int error = X509_STORE_CTX_get_error(store);
        const bool leaf = X509_STORE_CTX_get_error_depth(store) == 0;
        switch (error) {
            case X509_V_ERR_CERT_HAS_EXPIRED:
                return leaf ? "certificate has expired" : "a CA's certificate has expired";
            case X509_V_ERR_CERT_NOT_YET_VALID:
                return leaf ? "certificate is not valid yet" : "a CA's certificate is not valid yet";
            case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
                return "self-signed certificate";
            case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
            case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
                return "certificate is not signed by a trusted CA";
            case X509_V_ERR_HOSTNAME_MISMATCH:
            case X509_V_ERR_IP_ADDRESS_MISMATCH:
                return "certificate is for other names than \"" +
                       (options_.name.empty() ? sdk::to_string(options_.peer) : options_.name) +
                       "\": its names are " + names(X509_STORE_CTX_get0_cert(store));
            default:
                return std::string("certificate is not accepted: ") + X509_verify_cert_error_string(error);
        }
    }
    static std::string names(X509* cert) {
        std::string all;
        auto* list =
            static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
        for (int i = 0; i < sk_GENERAL_NAME_num(list) && i < 5; ++i) {
            const GENERAL_NAME* name = sk_GENERAL_NAME_value(list, i);
            std::string one = "?";
            if (name->type == GEN_DNS)
                one.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                           static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
            if (name->type == GEN_IPADD) {
                gorb_addr addr{};
                const int size = ASN1_STRING_length(name->d.iPAddress);
                addr.family = size == 4 ? 4 : 6;
                std::memcpy(addr.ip, ASN1_STRING_get0_data(name->d.iPAddress),
                            static_cast<size_t>(std::min(size, 16)));
                one = sdk::to_string(addr);
            }
            all += (all.empty() ? "" : ", ") + one;
        }
        GENERAL_NAMES_free(list);
        if (!all.empty()) return all;
        // Without any the common name is looked at.
        X509_NAME* subject = X509_get_subject_name(cert);
        const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
        if (at < 0) return "none";
        const ASN1_STRING* name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
        return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(name)),
                static_cast<size_t>(ASN1_STRING_length(name))};
    }
    // Unix seconds; 0 where it has no such date.
    static int64_t end_of(const X509* cert) {
        std::tm when{};
        return cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &when) == 1 ? timegm(&when) : 0;
    }
    // When the first of the chain ends that is no root.
    int64_t first_end(int64_t leaf) const {
        int64_t first = leaf;
        STACK_OF(X509)* chain = verified() ? SSL_get0_verified_chain(ssl_) : nullptr;
        for (int i = 1; i < sk_X509_num(chain); ++i) {
            X509* const cert = sk_X509_value(chain, i);
            const int64_t end = end_of(cert);
            if (end != 0 && X509_self_signed(cert, 0) != 1) first = std::min(first, end);
        }
        return first;
    }
    Step stopped(int rc, bool handshaking) {
        const int system_error = errno;
        switch (SSL_get_error(ssl_, rc)) {
            case SSL_ERROR_WANT_READ:
                return Step::want_read;
            case SSL_ERROR_WANT_WRITE:
                return Step::want_write;
            case SSL_ERROR_ZERO_RETURN:
                if (!handshaking) return Step::ended;
                return fail(-EPROTO, "the server ended the connection during the TLS handshake");
            case SSL_ERROR_SYSCALL:
                if (system_error != 0 && !BIO_test_flags(SSL_get_rbio(ssl_), BIO_FLAGS_IN_EOF))
                    return fail(-system_error, "");
                if (!handshaking) return Step::ended;
                return fail(-EPROTO, "the server ended the connection during the TLS handshake");
            default:
                return words_.empty() ? broken() : fail(-EPROTO, words_);
        }
    }
    // That the certificate of this side has ended is no fault of the server that refuses it.
    Step broken() {
        std::tm when{};
        const X509* own = SSL_get_certificate(ssl_);
        if (refused() && own && ASN1_TIME_to_tm(X509_get0_notAfter(own), &when) == 1 &&
            timegm(&when) < std::time(nullptr)) {
            char day[16] = "";
            std::strftime(day, sizeof day, "%Y-%m-%d", &when);
            return fail(-EINVAL, "client certificate " + options_.cert + " has expired (" + day + ")");
        }
        return fail(-EPROTO, library_words());
    }
    static bool refused() {
        switch (ERR_GET_REASON(ERR_peek_error())) {
            case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
            case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
            case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
            case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
                return true;
            default:
                return false;
        }
    }
    Step fail(int error, const std::string& words) {
        error_ = error;
        words_ = words;
        return Step::failed;
    }
    std::string library_words() const {
        const unsigned long code = ERR_peek_error();
        if (refused()) return "the server does not accept our client certificate";
        switch (ERR_GET_REASON(code)) {
            case SSL_R_WRONG_VERSION_NUMBER:
            case SSL_R_PACKET_LENGTH_TOO_LONG:
            case SSL_R_HTTP_REQUEST:
                return "the server does not speak TLS";
            case SSL_R_UNSUPPORTED_PROTOCOL:
            case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
                return "the server speaks no TLS version from 1.2 on";
            case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
                return "the server wants a client certificate";
            case SSL_R_TLSV1_UNRECOGNIZED_NAME:
                return "the server does not know the name \"" + options_.name + "\"";
            case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
                return "the server does not speak \"" + options_.alpn + "\"";
            default:
                break;
        }
        const char* reason = ERR_reason_error_string(code);
        return std::string("TLS failed: ") + (reason ? reason : "no reason is known");
    }

    const FakeTlsOptions options_;
    SSL_CTX* ctx_ = nullptr;
    SSL* ssl_ = nullptr;
    int error_ = 0;
    std::string words_, subject_, agreed_;
};

#else

class FakeTls {
  public:
    enum class Step { done, want_read, want_write, ended, failed };
    static std::unique_ptr<FakeTls> make(const FakeTlsOptions&, int, std::string& why) {
        why = "this test was built without TLS: define GORB_TESTING_TLS and link ssl and crypto";
        return nullptr;
    }
    Step handshake() { return Step::failed; }
    Step read(char*, size_t, size_t&) { return Step::failed; }
    Step write(const char*, size_t, size_t&) { return Step::failed; }
    int error() const { return -ENOTSUP; }
    std::string words() const { return {}; }
    void peer(gorb_tls_peer&) {}
};

#endif

}  // namespace gorb::testing
#endif  // GORB_TESTING_TLS_HPP
