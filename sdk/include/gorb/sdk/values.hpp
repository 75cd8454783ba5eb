// Values that cross the border, in C++ clothes: errors, configuration, addresses, errno in words.
//
// Part of gorb/plugin.hpp. Header-only C++17 on top of gorb/abi.h; compiled into the plugin.
#ifndef GORB_SDK_VALUES_HPP
#define GORB_SDK_VALUES_HPP
#include <arpa/inet.h>
#include <gorb/abi.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gorb::sdk {

// What a constructor or check() throws to refuse, and start() for trouble of its own: its words reach the
// operator, and so does the errno, if one is given.
class Error : public std::runtime_error {
  public:
    explicit Error(const std::string& words, int err = 0) : std::runtime_error(words), errno_(err) {}
    int code() const noexcept { return errno_ ? -errno_ : -EINVAL; }  // what a C function returns for it
    int number() const noexcept { return errno_; }                    // 0 for none: the code of a report

  private:
    int errno_;
};

inline gorb_str str(std::string_view text) noexcept {
    return {text.data(), text.size()};
}
inline std::string_view view(gorb_str text) noexcept {
    return text.ptr ? std::string_view(text.ptr, text.len) : std::string_view();
}

// Writes one sentence into the caller's buffer, cut at the end of a UTF-8 character when it is too long.
inline void explain(gorb_error* out, std::string_view words) noexcept {
    if (!out) return;
    size_t size = std::min(words.size(), sizeof(out->text) - 1);
    if (size < words.size()) {
        while (size > 0 && (static_cast<unsigned char>(words[size]) & 0xC0u) == 0x80u) --size;
    }
    if (size) std::memcpy(out->text, words.data(), size);
    out->text[size] = '\0';
}

// Typed, validated settings. A view: lives as long as the call that got it, so copy what you keep.
// nullopt: not set and without a fallback. A name or type that the option table does not have throws Error.
class Config {
  public:
    explicit Config(const gorb_config* c) noexcept : c_(c) {}
    const gorb_config* c() const noexcept { return c_; }

    std::optional<bool> boolean(const char* name) const {
        return get<bool>(name, c_ ? c_->boolean : nullptr);
    }
    std::optional<int64_t> integer(const char* name) const {
        return get<int64_t>(name, c_ ? c_->integer : nullptr);
    }
    std::optional<std::chrono::nanoseconds> duration(const char* name) const {
        auto ns = get<uint64_t>(name, c_ ? c_->duration : nullptr);
        if (!ns) return std::nullopt;
        return std::chrono::nanoseconds(static_cast<int64_t>(std::min<uint64_t>(*ns, INT64_MAX)));
    }
    std::optional<std::string_view> text(const char* name) const {
        return words(name, c_ ? c_->text : nullptr);
    }
    std::optional<std::string_view> json(const char* name) const {
        return words(name, c_ ? c_->json : nullptr);
    }

  private:
    template <class T>
    std::optional<T> get(const char* name, int32_t (*read)(const gorb_config*, const char*, T*)) const {
        if (!read) return std::nullopt;  // a plugin without options may be given no configuration
        T value{};
        int32_t rc = read(c_, name, &value);
        if (rc == 0) return value;
        if (rc == -ENOENT) return std::nullopt;
        throw Error(std::string("the option table has no \"") + name + "\" of the type it is read as");
    }
    std::optional<std::string_view> words(const char* name,
                                          int32_t (*read)(const gorb_config*, const char*, gorb_str*)) const {
        auto value = get<gorb_str>(name, read);
        if (!value) return std::nullopt;
        return view(*value);
    }
    const gorb_config* c_;
};

// ---- addresses ----

// "10.0.0.1", "2001:db8::1", "fe80::1%3"; "" for none.
inline std::string to_string(const gorb_addr& addr) {
    char buffer[INET6_ADDRSTRLEN] = "";
    if (addr.family == 4) inet_ntop(AF_INET, addr.ip, buffer, sizeof buffer);
    if (addr.family == 6) inet_ntop(AF_INET6, addr.ip, buffer, sizeof buffer);
    std::string text = buffer;
    if (addr.family == 6 && addr.scope) text += "%" + std::to_string(addr.scope);
    return text;
}

// "10.0.0.1:80", "[2001:db8::1]:80"
inline std::string with_port(const gorb_addr& addr) {
    std::string host = addr.family == 6 ? "[" + to_string(addr) + "]" : to_string(addr);
    return host + ":" + std::to_string(addr.port);
}

// For plugins with sockets of their own. Returns the length to give to connect(), 0 for "none".
inline socklen_t to_sockaddr(const gorb_addr& addr, sockaddr_storage& out) noexcept {
    std::memset(&out, 0, sizeof out);
    if (addr.family == 4) {
        auto& in = reinterpret_cast<sockaddr_in&>(out);
        in.sin_family = AF_INET;
        in.sin_port = htons(addr.port);
        std::memcpy(&in.sin_addr, addr.ip, 4);
        return sizeof in;
    }
    if (addr.family == 6) {
        auto& in6 = reinterpret_cast<sockaddr_in6&>(out);
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(addr.port);
        in6.sin6_scope_id = addr.scope;
        std::memcpy(&in6.sin6_addr, addr.ip, 16);
        return sizeof in6;
    }
    return 0;
}

// ---- what went wrong, for humans and for the verdict ----

// "connection refused"; takes the errno with either sign.
inline std::string errno_words(int err) {
    if (err < 0) err = -err;
    switch (err) {
        case ECONNREFUSED:
            return "connection refused";
        case EHOSTUNREACH:
            return "host unreachable";
        case ENETUNREACH:
            return "no route to that network";
        case ENETDOWN:
            return "the network device is down";
        case ENODEV:
        case ENXIO:
            return "no such network device";
        case EHOSTDOWN:
            return "host is down";
        case ECONNRESET:
            return "connection reset by the other side";
        case ECONNABORTED:
            return "connection aborted";
        case EPIPE:
            return "connection closed by the other side";
        case ETIMEDOUT:
            return "timed out";
        case ECANCELED:
            return "cancelled";
        case EPROTO:
            return "the other side broke the protocol";
        case EMFILE:
            return "no free file descriptor in this process";
        case ENFILE:
            return "no free file descriptor on this machine";
        case ENOBUFS:
            return "the kernel has no buffer space left";
        case ENOMEM:
            return "out of memory";
        case EADDRNOTAVAIL:
            return "no local address or port is free to connect from";
        case EPERM:
        case EACCES:
            return "this machine does not permit the connection";
        case EAFNOSUPPORT:
            return "this machine does not speak that address family";
        default:
            break;
    }
    char buffer[128] = "";
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    return strerror_r(err, buffer, sizeof buffer);
#else
    if (strerror_r(err, buffer, sizeof buffer) != 0) return "error " + std::to_string(err);
    return buffer;
#endif
}

// Does this errno tell of our side rather than of the target? Then the verdict is UNKNOWN: a checker that is
// out of descriptors must not empty a pool of healthy servers. ENETUNREACH and EACCES (our own routes) are
// ours, EHOSTUNREACH the target's; what a router refuses by ICMP, gorb's connections tell as the latter.
inline bool our_trouble(int err) noexcept {
    switch (err < 0 ? -err : err) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
        case EADDRNOTAVAIL:
        case ENETUNREACH:  // connect() says so without a packet: we have no route
        case ENODEV:
        case EADDRINUSE:
        case EAGAIN:
        case EPERM:
        case EACCES:
        case EAFNOSUPPORT:
        case EPROTONOSUPPORT:
        case EINVAL:
        case ENOTSUP:
        case ECANCELED:
        case ENETDOWN:
        case ENXIO:
        case ENOENT:
        case ENOSYS:
            return true;
        default:
            return false;
    }
}

}  // namespace gorb::sdk
#endif  // GORB_SDK_VALUES_HPP
