// Certificates made by a test, and a TLS server on loopback that shows them. Needs ssl and crypto.
//
//     const Identity ca = Identity::authority();
//     const Identity web = ca.sign({.names = {"web.example", "127.0.0.1"}});
//     const PemFile trusted(ca.certificate_pem());
//     TlsServer server(web, [](TlsPeer& peer) { peer.write("hello"); peer.wait_for_end(); });
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tls_test {

// A file in a folder of its own, gone at the end.
class PemFile {
  public:
    explicit PemFile(std::string_view text) {
        if (!mkdtemp(folder_.data())) throw std::runtime_error("no temporary folder");
        path_ = folder_ + "/file.pem";
        write(text);
    }
    ~PemFile() {
        unlink(path_.c_str());
        rmdir(folder_.c_str());
    }
    PemFile(const PemFile&) = delete;
    PemFile& operator=(const PemFile&) = delete;
    const std::string& path() const { return path_; }
    void write(std::string_view text) {
        FILE* file = fopen(path_.c_str(), "w");
        if (!file) throw std::runtime_error("can not write " + path_);
        fwrite(text.data(), 1, text.size(), file);
        fclose(file);
    }

  private:
    std::string folder_ = "/tmp/gorb-tls-XXXXXX", path_;
};

// A key and its certificate.
class Identity {
  public:
    struct Options {
        std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};  // DNS names and addresses
        std::string common_name = "backend";
        int64_t begins = -86400, ends = 86400 * 365L;  // seconds from now
        bool authority = false;
    };
    // A CA, signed by itself.
    static Identity authority(const std::string& name = "test CA") {
        return make({{}, name, -86400 * 3650L, 86400 * 3650L, true}, nullptr);
    }
    static Identity self_signed(const Options& options) { return make(options, nullptr); }
    Identity sign(const Options& options) const { return make(options, this); }

    EVP_PKEY* key() const { return key_.get(); }
    X509* certificate() const { return cert_.get(); }
    std::string certificate_pem() const {
        return pem([&](BIO* out) { PEM_write_bio_X509(out, cert_.get()); });
    }
    std::string key_pem() const {
        return pem([&](BIO* out) {
            PEM_write_bio_PrivateKey(out, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
        });
    }

  private:
    static std::string pem(const std::function<void(BIO*)>& write) {
        BIO* out = BIO_new(BIO_s_mem());
        write(out);
        char* data = nullptr;
        const long size = BIO_get_mem_data(out, &data);
        std::string text(data, static_cast<size_t>(size));
        BIO_free(out);
        return text;
    }
    static void extend(X509* cert, X509* issuer, int nid, const std::string& value) {
        X509V3_CTX context;
        X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
        X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
        if (!extension) throw std::runtime_error("no extension for " + value);
        X509_add_ext(cert, extension, -1);
        X509_EXTENSION_free(extension);
    }
    static Identity make(const Options& options, const Identity* issuer) {
        static std::atomic<long> serial{1};
        Identity made;
        made.key_.reset(EVP_EC_gen("P-256"), EVP_PKEY_free);
        X509* cert = X509_new();
        made.cert_.reset(cert, X509_free);
        X509_set_version(cert, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
        X509_gmtime_adj(X509_getm_notBefore(cert), options.begins);
        X509_gmtime_adj(X509_getm_notAfter(cert), options.ends);
        X509_set_pubkey(cert, made.key());
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(options.common_name.c_str()), -1,
                                   -1, 0);
        X509* by = issuer ? issuer->certificate() : cert;
        X509_set_issuer_name(cert, X509_get_subject_name(by));
        extend(cert, by, NID_basic_constraints, options.authority ? "critical,CA:TRUE" : "CA:FALSE");
        extend(cert, by, NID_subject_key_identifier, "hash");
        if (issuer) extend(cert, by, NID_authority_key_identifier, "keyid");
        std::string names;
        for (const std::string& name : options.names) {
            in6_addr ignored{};
            const bool ip = inet_pton(AF_INET, name.c_str(), &ignored) == 1 ||
                            inet_pton(AF_INET6, name.c_str(), &ignored) == 1;
            names += (names.empty() ? "" : ",") + std::string(ip ? "IP:" : "DNS:") + name;
        }
        if (!names.empty()) extend(cert, by, NID_subject_alt_name, names);
        X509_sign(cert, issuer ? issuer->key() : made.key(), EVP_sha256());
        return made;
    }
    std::shared_ptr<EVP_PKEY> key_;
    std::shared_ptr<X509> cert_;
};

// What the handler has of a connection, once its handshake is through. Blocking; all ends with the server.
class TlsPeer {
  public:
    explicit TlsPeer(SSL* ssl) : ssl_(ssl) {}
    SSL* ssl() { return ssl_; }
    std::string read_until(std::string_view end) {
        std::string text;
        char byte = 0;
        while (text.find(end) == std::string::npos && SSL_read(ssl_, &byte, 1) == 1) text += byte;
        return text;
    }
    void write(std::string_view bytes) {
        if (!bytes.empty()) SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
    }
    void wait_for_end() {
        char buffer[4096];
        while (SSL_read(ssl_, buffer, sizeof buffer) > 0) continue;
    }
    std::string server_name() const {
        const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
        return name ? name : "";
    }

  private:
    SSL* ssl_;
};

// Serves its connections one after the other, on a thread of its own.
class TlsServer {
  public:
    using Handler = std::function<void(TlsPeer&)>;
    struct Options {
        std::string alpn;       // "h2": the only protocol it agrees to; "" ignores ALPN
        std::string client_ca;  // PEM file; not empty: a client certificate signed by it is demanded
        int least = TLS1_2_VERSION, most = TLS1_3_VERSION;
        bool v6 = false;
    };
    TlsServer(const Identity& identity, Handler handler) : TlsServer(identity, std::move(handler), {}) {}
    TlsServer(const Identity& identity, Handler handler, Options options)
        : options_(std::move(options)), handler_(std::move(handler)), ctx_(SSL_CTX_new(TLS_server_method())) {
        signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets that a client has left
        SSL_CTX_use_certificate(ctx_, identity.certificate());
        SSL_CTX_use_PrivateKey(ctx_, identity.key());
        SSL_CTX_set_min_proto_version(ctx_, options_.least);
        SSL_CTX_set_max_proto_version(ctx_, options_.most);
        SSL_CTX_set_security_level(ctx_, 0);
        if (!options_.alpn.empty()) SSL_CTX_set_alpn_select_cb(ctx_, &choose, this);
        if (!options_.client_ca.empty()) {
            SSL_CTX_load_verify_file(ctx_, options_.client_ca.c_str());
            SSL_CTX_set_verify(ctx_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        }
        listener_ = socket(options_.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in6 in6{};
        sockaddr_in in{};
        in6.sin6_family = AF_INET6;
        in6.sin6_addr = in6addr_loopback;
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* addr = options_.v6 ? reinterpret_cast<sockaddr*>(&in6) : reinterpret_cast<sockaddr*>(&in);
        socklen_t size = options_.v6 ? sizeof in6 : sizeof in;
        if (bind(listener_, addr, size) != 0 || listen(listener_, 64) != 0)
            throw std::runtime_error("no port is free on loopback");
        getsockname(listener_, addr, &size);
        port_ = ntohs(options_.v6 ? in6.sin6_port : in.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~TlsServer() {
        stopping_ = true;
        shutdown(listener_, SHUT_RDWR);  // ends accept()
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (client_ >= 0) shutdown(client_, SHUT_RDWR);
        }
        thread_.join();
        close(listener_);
        SSL_CTX_free(ctx_);
    }
    TlsServer(const TlsServer&) = delete;
    TlsServer& operator=(const TlsServer&) = delete;
    uint16_t port() const { return port_; }
    unsigned handshakes() const { return handshakes_; }  // that were finished

  private:
    static int choose(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                      unsigned offered_size, void* arg) {
        const std::string& mine = static_cast<TlsServer*>(arg)->options_.alpn;
        for (unsigned at = 0; at < offered_size; at += 1U + offered[at]) {
            if (std::string(reinterpret_cast<const char*>(offered + at + 1), offered[at]) != mine) continue;
            *out = offered + at + 1;
            *size = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    void serve() {
        while (!stopping_) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) continue;
            {
                std::lock_guard<std::mutex> lock(mutex_);
                client_ = fd;
                if (stopping_) shutdown(fd, SHUT_RDWR);
            }
            SSL* ssl = SSL_new(ctx_);
            SSL_set_fd(ssl, fd);
            if (SSL_accept(ssl) == 1) {
                ++handshakes_;
                TlsPeer peer(ssl);
                handler_(peer);
                SSL_shutdown(ssl);
            }
            SSL_free(ssl);
            ERR_clear_error();
            std::lock_guard<std::mutex> lock(mutex_);
            client_ = -1;
            close(fd);
        }
    }
    const Options options_;
    const Handler handler_;
    SSL_CTX* const ctx_;
    int listener_ = -1;
    uint16_t port_ = 0;
    std::atomic<bool> stopping_{false};
    std::atomic<unsigned> handshakes_{0};
    std::mutex mutex_;
    int client_ = -1;  // under mutex_
    std::thread thread_;
};

}  // namespace tls_test
