#include "io/tls.h"

#include <malloc.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <utility>

#include "io/tls_context.h"

namespace gorb::io {
namespace {

constexpr int most_names = 5;  // of a certificate, in a sentence

// ---- memory

// Sessions of all loops, now and at most since memory was given back.
std::atomic<size_t> alive{0}, most_alive{0};
constexpr size_t storm = 1000;

void one_more() {
    const size_t now = ++alive;
    size_t most = most_alive.load();
    while (now > most && !most_alive.compare_exchange_weak(most, now)) continue;
}

// A session's 50 KB are many small pieces, of which malloc() gives nothing back by itself: 10,000 servers
// that hang once would cost half a GiB for ever. When such a storm is over, all of it goes, in 3 us a
// session.
void one_less() {
    const size_t now = --alive, most = most_alive.load();
    if (most < storm || now > most / 4) return;
    if (most_alive.exchange(now) >= storm) malloc_trim(0);
}

// ---- the socket below, as OpenSSL wants it: its own BIO for sockets would raise SIGPIPE

int fd_of(BIO* bio) {
    return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
}

int bio_write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t sent = ::send(fd_of(bio), data, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* data, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t got = ::recv(fd_of(bio), data, static_cast<size_t>(size), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return static_cast<int>(got);
}

long bio_ctrl(BIO* bio, int what, long, void*) {
    if (what == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
        BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gorb socket");
        BIO_meth_set_write(m, &bio_write);
        BIO_meth_set_read(m, &bio_read);
        BIO_meth_set_ctrl(m, &bio_ctrl);
        return m;
    }();
    return made;
}

// ---- certificates in words

// What a foreign certificate says may hold anything: printable ASCII remains.
std::string plain(const ASN1_STRING* text) {
    std::string out(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                    static_cast<size_t>(std::clamp(ASN1_STRING_length(text), 0, 100)));
    for (char& c : out) {
        if (c < ' ' || c > '~') c = '?';
    }
    return out;
}

std::string name_text(const GENERAL_NAME* name) {
    if (name->type == GEN_DNS) return plain(name->d.dNSName);
    if (name->type == GEN_URI) return plain(name->d.uniformResourceIdentifier);
    if (name->type == GEN_IPADD) {
        const int size = ASN1_STRING_length(name->d.iPAddress);
        const unsigned char* bytes = ASN1_STRING_get0_data(name->d.iPAddress);
        if (size == 4) return base::Ip::from_bytes(AF_INET, bytes).text();
        if (size == 16) return base::Ip::from_bytes(AF_INET6, bytes).text();
    }
    return "(another kind of name)";
}

std::string names_of(const X509* cert) {
    if (!cert) return "not known";
    std::string all;
    auto* list = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
    const int count = sk_GENERAL_NAME_num(list);
    for (int i = 0; i < std::min(count, most_names); ++i) {
        all += (all.empty() ? "" : ", ") + name_text(sk_GENERAL_NAME_value(list, i));
    }
    if (count > most_names) all += " and " + std::to_string(count - most_names) + " more";
    GENERAL_NAMES_free(list);
    if (!all.empty()) return all;
    // Without any the common name is looked at.
    const X509_NAME* subject = X509_get_subject_name(cert);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    return at < 0 ? "none" : plain(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

// Unix seconds; 0 where it has no such date.
int64_t end_of(const X509* cert) {
    std::tm when{};
    return cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &when) == 1 ? timegm(&when) : 0;
}

// When the first of these ends that is not a root, which its holders replace by themselves.
int64_t first_end(const STACK_OF(X509) * chain, int64_t leaf) {
    int64_t first = leaf;
    for (int i = 1; i < sk_X509_num(chain); ++i) {
        X509* const cert = sk_X509_value(chain, i);
        const int64_t end = end_of(cert);
        if (end != 0 && X509_self_signed(cert, 0) != 1) first = std::min(first, end);
    }
    return first;
}

std::string day_of(int64_t when) {
    const auto seconds = static_cast<time_t>(when);
    std::tm parts{};
    std::array<char, 16> text{};
    if (!gmtime_r(&seconds, &parts)) return "";
    return {text.data(), strftime(text.data(), text.size(), "%Y-%m-%d", &parts)};
}

// Does the other side say so of our certificate?
bool refuses_our_certificate(unsigned long code) {
    switch (ERR_GET_REASON(code)) {
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
            return true;
        default:
            return false;
    }
}

std::string subject_of(const X509* cert) {
    BIO* text = BIO_new(BIO_s_mem());
    if (!text) return "";
    X509_NAME_print_ex(text, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
    char* data = nullptr;
    const long size = BIO_get_mem_data(text, &data);
    std::string subject(data, static_cast<size_t>(std::clamp(size, 0L, 256L)));
    BIO_free(text);
    return subject;
}

}  // namespace

TlsSession::TlsSession(const base::Ip& peer, const TlsOptions& options)
    : address_(peer), name_(options.name), alpn_(options.alpn), cert_(options.cert) {
    if (name_.size() > 1 && name_.back() == '.') name_.pop_back();  // neither SNI nor certificates have it
    one_more();
}

TlsSession::~TlsSession() {
    SSL_free(ssl_);
    ERR_clear_error();
    one_less();
}

base::Result<std::unique_ptr<TlsSession>> TlsSession::make(int fd, const base::Ip& peer,
                                                           const TlsOptions& options) {
    auto ctx = tls_context(options.ca, options.cert, options.key);
    if (!ctx) return base::fail(std::move(ctx.error()));
    std::unique_ptr<TlsSession> made(new TlsSession(peer, options));
    made->ssl_ = SSL_new(ctx->get());
    BIO* bio = made->ssl_ ? BIO_new(method()) : nullptr;
    if (!bio) return base::fail(base::Errc::io, "OpenSSL makes no session: out of memory", ENOMEM);
    // A BIO carries one pointer, and a descriptor fits.
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
    BIO_set_init(bio, 1);
    SSL_set_bio(made->ssl_, bio, bio);
    SSL_set_connect_state(made->ssl_);
    SSL_set_app_data(made->ssl_, made.get());
    // Without a demand OpenSSL looks at the certificate all the same, and notes what it found.
    SSL_set_verify(made->ssl_, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                   options.verify ? &on_verify : nullptr);
    made->set_expected();
    if (!made->set_alpn(options.alpn)) {
        return base::fail(base::Errc::invalid,
                          "\"" + options.alpn + "\" is no list of protocols, like \"h2,http/1.1\"", EINVAL);
    }
    ERR_clear_error();
    return made;
}

void TlsSession::set_expected() {
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl_);
    if (name_.empty()) {
        X509_VERIFY_PARAM_set1_ip(param, address_.bytes.data(), address_.v4() ? 4 : 16);
        return;
    }
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name_.c_str()) == 1) return;  // SNI knows no addresses
    SSL_set_tlsext_host_name(ssl_, name_.c_str());
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl_, name_.c_str());
}

bool TlsSession::set_alpn(const std::string& list) {
    if (list.empty()) return true;
    std::string wire;  // each with its length in front
    for (size_t at = 0; at <= list.size();) {
        const size_t end = std::min(list.find(',', at), list.size());
        if (end == at || end - at > 255) return false;
        wire += static_cast<char>(end - at);
        wire.append(list, at, end - at);
        at = end + 1;
    }
    return SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(wire.data()),
                               static_cast<unsigned>(wire.size())) == 0;  // 0 means well here
}

TlsSession::Step TlsSession::handshake() {
    ERR_clear_error();
    const int rc = SSL_do_handshake(ssl_);
    return rc == 1 ? Step::done : stopped(rc, true);
}

TlsSession::Step TlsSession::read(void* data, size_t size, size_t& got) {
    ERR_clear_error();
    const int rc = SSL_read_ex(ssl_, data, size, &got);
    return rc == 1 ? Step::done : stopped(rc, false);
}

TlsSession::Step TlsSession::write(const void* data, size_t size, size_t& put) {
    ERR_clear_error();
    const int rc = SSL_write_ex(ssl_, data, size, &put);
    if (rc == 1) return Step::done;
    const Step step = stopped(rc, false);
    if (step == Step::failed && words_.empty()) look_for_alert();
    return step;
}

// The socket is broken; what the server said before it hung up tells more than that.
void TlsSession::look_for_alert() {
    ERR_clear_error();
    char byte = 0;
    size_t got = 0;
    const int rc = SSL_peek_ex(ssl_, &byte, 1, &got);
    if (rc != 1 && SSL_get_error(ssl_, rc) == SSL_ERROR_SSL) broken();
}

void TlsSession::end() {
    ERR_clear_error();
    SSL_shutdown(ssl_);
}

const TlsPeer& TlsSession::peer() {
    if (peer_) return *peer_;
    peer_ = std::make_unique<TlsPeer>();
    if (X509* cert = SSL_get1_peer_certificate(ssl_)) {
        peer_->not_after = end_of(cert);
        peer_->subject = subject_of(cert);
        peer_->verified = SSL_get_verify_result(ssl_) == X509_V_OK;
        if (peer_->verified) peer_->not_after = first_end(SSL_get0_verified_chain(ssl_), peer_->not_after);
        X509_free(cert);
    }
    const unsigned char* alpn = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &alpn, &size);
    if (alpn) peer_->alpn.assign(reinterpret_cast<const char*>(alpn), size);
    return *peer_;
}

// ---- what went wrong

int TlsSession::on_verify(int good, X509_STORE_CTX* store) {
    if (good) return 1;
    const auto* ssl =
        static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* self = static_cast<TlsSession*>(SSL_get_app_data(ssl));
    self->words_ = self->certificate_words(store);
    return 0;
}

std::string TlsSession::certificate_words(X509_STORE_CTX* store) const {
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
            return "certificate is for other names than \"" + (name_.empty() ? address_.text() : name_) +
                   "\": its names are " + names_of(X509_STORE_CTX_get0_cert(store));
        case X509_V_ERR_INVALID_PURPOSE:
            return "certificate is not made for a server";
        default:
            return std::string("certificate is not accepted: ") + X509_verify_cert_error_string(error);
    }
}

TlsSession::Step TlsSession::stopped(int rc, bool handshaking) {
    const int system_error = errno;
    switch (SSL_get_error(ssl_, rc)) {
        case SSL_ERROR_WANT_READ:
            return Step::want_read;
        case SSL_ERROR_WANT_WRITE:
            return Step::want_write;
        case SSL_ERROR_SYSCALL:
            if (!BIO_test_flags(SSL_get_rbio(ssl_), BIO_FLAGS_IN_EOF) && system_error != 0) {
                return fail(-system_error, handshaking ? "connection broke in the TLS handshake" : "");
            }
            break;
        case SSL_ERROR_ZERO_RETURN:
            break;
        default:
            return words_.empty() ? broken() : fail(-EPROTO, words_);
    }
    if (!handshaking) return Step::ended;
    return fail(-EPROTO, "the server ended the connection during the TLS handshake");
}

// What OpenSSL says of it. That our own certificate has ended is no fault of the server that refuses it.
TlsSession::Step TlsSession::broken() {
    if (refuses_our_certificate(ERR_peek_error())) {
        const int64_t end = end_of(SSL_get_certificate(ssl_));
        if (end != 0 && end < std::time(nullptr))
            return fail(-EINVAL, "client certificate " + cert_ + " has expired (" + day_of(end) + ")");
    }
    return fail(-EPROTO, library_words());
}

TlsSession::Step TlsSession::fail(int error, std::string words) {
    error_ = error;
    words_ = std::move(words);
    return Step::failed;
}

std::string TlsSession::library_words() const {
    const unsigned long code = ERR_peek_error();
    if (refuses_our_certificate(code)) return "the server does not accept our client certificate";
    switch (ERR_GET_REASON(code)) {
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
        case SSL_R_HTTP_REQUEST:
            return "the server does not speak TLS";
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            return "the server speaks no TLS version from 1.2 on";
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            return "the server refuses the handshake: no cipher in common, or it wants a client certificate";
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
            return "the server wants a client certificate";
        case SSL_R_TLSV1_UNRECOGNIZED_NAME:
            return "the server does not know the name \"" + name_ + "\"";
        case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
            return "the server does not speak \"" + alpn_ + "\"";
        default:
            break;
    }
    const char* reason = ERR_reason_error_string(code);
    return std::string("TLS failed: ") + (reason ? reason : "no reason is known");
}

}  // namespace gorb::io
