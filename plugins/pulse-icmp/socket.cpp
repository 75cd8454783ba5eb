#include "socket.h"

#include <net/if.h>

// Linux's own come after it, or both say what an interface is.
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace pulse_icmp {
namespace {

using gorb::sdk::errno_words;
using gorb::sdk::Error;

constexpr int most_a_turn = 256;  // messages read before other descriptors have their turn
constexpr size_t largest = 2048;  // more than a reply of ours can be
// Bytes as the kernel counts them, twice what is asked for. A request to a host on a link of ours that
// answers no ARP or ND waits for some 3 s, and as long it is charged to the socket that all others send by:
// 832 bytes for an ordinary one, so 65536 of them, as many as may be unanswered, have room.
constexpr int send_buffer = 32 << 20, receive_buffer = 1 << 20;

gorb_addr from_sockaddr(const sockaddr_storage& from) {
    gorb_addr out{};
    if (from.ss_family == AF_INET) {
        out.family = 4;
        std::memcpy(out.ip, &reinterpret_cast<const sockaddr_in&>(from).sin_addr, 4);
    } else if (from.ss_family == AF_INET6) {
        out.family = 6;
        std::memcpy(out.ip, &reinterpret_cast<const sockaddr_in6&>(from).sin6_addr, 16);
    }
    return out;
}
bool same_ip(const gorb_addr& a, const gorb_addr& b) {
    return a.family == b.family && std::memcmp(a.ip, b.ip, a.family == 4 ? 4 : 16) == 0;
}
template <class T>
bool set(int fd, int level, int option, const T& value) {
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

}  // namespace

bool SocketKey::operator<(const SocketKey& other) const {
    const auto tied = [](const SocketKey& key) {
        return std::make_tuple(key.v6, std::string_view(reinterpret_cast<const char*>(key.source.ip), 16),
                               key.source.family, key.source.scope, std::string_view(key.interface),
                               key.fwmark, key.ttl);
    };
    return tied(*this) < tied(other);
}

EchoSocket::EchoSocket(const gorb::sdk::Host& host, SocketKey key, Kind kind)
    : key_(std::move(key)), kind_(kind), watch_(host) {}

EchoSocket::~EchoSocket() {
    shut();
}

void EchoSocket::shut() {
    watch_.stop();
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
}

// It knows its device by its number, and what has that name now is another, or nothing.
bool EchoSocket::outlived() const {
    int bound = 0;
    socklen_t size = sizeof bound;
    return !key_.interface.empty() && getsockopt(fd_, SOL_SOCKET, SO_BINDTOIFINDEX, &bound, &size) == 0 &&
           static_cast<unsigned>(bound) != if_nametoindex(key_.interface.c_str());
}

// 0 or the errno.
int EchoSocket::open_kind(Kind kind) {
    const int type = (kind == Kind::raw ? SOCK_RAW : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    fd_ = key_.v6 ? socket(AF_INET6, type, IPPROTO_ICMPV6) : socket(AF_INET, type, IPPROTO_ICMP);
    raw_ = kind == Kind::raw;
    return fd_ < 0 ? errno : 0;
}

void EchoSocket::open() {
    if (fd_ >= 0) return;
    int err = kind_ == Kind::raw ? EACCES : open_kind(Kind::ping);
    const bool refused = err == EACCES || err == EPERM || err == EPROTONOSUPPORT;
    if (refused && kind_ != Kind::ping) err = open_kind(Kind::raw);
    if (err == EACCES || err == EPERM)
        throw Error(
            "this machine permits no echo requests: allow gorbd's group in the sysctl "
            "net.ipv4.ping_group_range, "
            "or give gorbd the capability CAP_NET_RAW",
            EPERM);
    if (err != 0) throw Error("no socket for echo requests: " + errno_words(err), err);
    try {
        set_up();
        watch_.start(fd_, GORB_READABLE, [this](uint32_t) {
            try {
                ready();
            } catch (...) {  // the watch ends with it: the next request opens it anew
                shut();
                throw;
            }
        });
    } catch (...) {
        shut();
        throw;
    }
}

void EchoSocket::set_up() {
    const int on = 1;
    const bool v6 = key_.v6;
    // Beyond the system's limit with CAP_NET_ADMIN, up to it without.
    if (!set(fd_, SOL_SOCKET, SO_SNDBUFFORCE, send_buffer)) set(fd_, SOL_SOCKET, SO_SNDBUF, send_buffer);
    if (!set(fd_, SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer))
        set(fd_, SOL_SOCKET, SO_RCVBUF, receive_buffer);
    // Errors come with the request that they are about.
    if (!(v6 ? set(fd_, IPPROTO_IPV6, IPV6_RECVERR, on) : set(fd_, IPPROTO_IP, IP_RECVERR, on)))
        throw Error("the socket for echo requests tells no errors: " + errno_words(errno), errno);
    if (raw_ && v6) {
        icmp6_filter filter;
        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
        set(fd_, IPPROTO_ICMPV6, ICMP6_FILTER, filter);
    } else if (raw_) {
        icmp_filter filter{};
        filter.data = ~(1u << ICMP_ECHOREPLY);
        set(fd_, SOL_RAW, ICMP_FILTER, filter);
    }
    if (raw_ && getrandom(&id_, sizeof id_, 0) != sizeof id_)
        throw Error("the kernel gives no random number", EAGAIN);
    if (key_.ttl &&
        !(v6 ? set(fd_, IPPROTO_IPV6, IPV6_UNICAST_HOPS, key_.ttl) : set(fd_, IPPROTO_IP, IP_TTL, key_.ttl)))
        throw Error("the time to live can not be set: " + errno_words(errno), errno);
    if (key_.fwmark && !set(fd_, SOL_SOCKET, SO_MARK, key_.fwmark))
        throw Error("the fwmark can not be set: " + errno_words(errno), errno);
    if (!key_.interface.empty() && setsockopt(fd_, SOL_SOCKET, SO_BINDTODEVICE, key_.interface.data(),
                                              static_cast<socklen_t>(key_.interface.size())) != 0)
        throw Error("the interface \"" + key_.interface + "\" can not be used: " +
                        (errno == ENODEV ? "there is none of that name" : errno_words(errno)),
                    errno);
    sockaddr_storage source{};
    gorb_addr from = key_.source;
    from.port = 0;
    const socklen_t size = gorb::sdk::to_sockaddr(from, source);
    if (size && bind(fd_, reinterpret_cast<sockaddr*>(&source), size) != 0)
        throw Error(
            "the source address " + gorb::sdk::to_string(from) + " can not be used: " + errno_words(errno),
            errno);
}

uint16_t EchoSocket::send(const gorb_addr& to, std::string_view payload, Events& events) {
    open();
    if (flights_.size() > UINT16_MAX) throw Error("65536 echo requests wait for an answer already", ENOBUFS);
    while (flights_.count(next_sequence_)) ++next_sequence_;
    const uint16_t sequence = next_sequence_++;
    int err = transmit(to, echo_request(key_.v6, id_, sequence, payload));
    if (err != 0 && outlived()) {  // with the answers that it waited for
        shut();
        open();
        err = transmit(to, echo_request(key_.v6, id_, sequence, payload));
    }
    if (err == ENETUNREACH || err == EHOSTUNREACH)
        throw Error("this machine has no route to " + gorb::sdk::to_string(to), err);
    if (err == EMSGSIZE)
        throw Error("the request is larger than the way out of this machine lets through", err);
    if (err == EINVAL && key_.source.family)
        throw Error("the source address " + gorb::sdk::to_string(key_.source) + " is none of this machine",
                    err);
    if (err != 0) throw Error("the request can not be sent: " + errno_words(err), err);
    flights_[sequence] = {&events, to};
    return sequence;
}

// 0 or the errno.
int EchoSocket::transmit(const gorb_addr& to, const std::string& message) {
    sockaddr_storage raw{};
    gorb_addr address = to;
    address.port = 0;
    iovec part = {const_cast<char*>(message.data()), message.size()};
    msghdr out{};
    out.msg_name = &raw;
    out.msg_namelen = gorb::sdk::to_sockaddr(address, raw);
    out.msg_iov = &part;
    out.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))] = {};
    if (key_.v6 && key_.source.family) {
        // bind() looked once whether this machine has the address; this looks each time.
        out.msg_control = control;
        out.msg_controllen = sizeof control;
        cmsghdr* const c = CMSG_FIRSTHDR(&out);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        in6_pktinfo info{};
        c->cmsg_len = CMSG_LEN(sizeof info);
        std::memcpy(&info.ipi6_addr, key_.source.ip, sizeof info.ipi6_addr);
        std::memcpy(CMSG_DATA(c), &info, sizeof info);
    }
    // An error that came for another target is told to the next who sends; hence once more.
    int err = 0;
    for (int turn = 0; turn < 3; ++turn) {
        if (sendmsg(fd_, &out, MSG_NOSIGNAL) >= 0) return 0;
        err = errno;
    }
    return err;
}

void EchoSocket::ready() {
    for (int turn = 0; turn < most_a_turn && read_error(); ++turn) continue;
    for (int turn = 0; turn < most_a_turn && read_one(); ++turn) continue;
}

bool EchoSocket::read_one() {
    char buffer[largest];
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const ssize_t n = recvfrom(fd_, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0) return errno != EAGAIN && errno != EWOULDBLOCK;  // an error that is read from its queue
    const auto echo = parse_echo(key_.v6, raw_ && !key_.v6, {buffer, static_cast<size_t>(n)});
    if (echo && !echo->request) arrived(*echo, from_sockaddr(from));
    return true;
}

void EchoSocket::arrived(const Echo& echo, const gorb_addr& from) {
    if (raw_ && echo.id != id_) return;
    const auto found = flights_.find(echo.sequence);
    if (found == flights_.end() || !same_ip(found->second.to, from)) return;
    // Whether it is the answer, or one to an earlier request of this number, only the token tells.
    if (found->second.events->answered(echo.sequence, echo.payload)) flights_.erase(echo.sequence);
}

bool EchoSocket::read_error() {
    char buffer[largest];
    alignas(cmsghdr) char control[512];
    sockaddr_storage to{};
    iovec part = {buffer, sizeof buffer};
    msghdr message{};
    message.msg_name = &to;
    message.msg_namelen = sizeof to;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(fd_, &message, MSG_ERRQUEUE);
    if (n < 0) return false;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        const bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
        if (!v4 && !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) continue;
        sock_extended_err error{};
        std::memcpy(&error, CMSG_DATA(c), sizeof error);
        if (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6) continue;
        if (!tells_of_loss(key_.v6, error.ee_type)) continue;
        const auto echo = parse_echo(key_.v6, false, {buffer, static_cast<size_t>(n)});
        if (!echo || !echo->request || (raw_ && echo->id != id_)) continue;
        sockaddr_storage offender{};
        const size_t room = c->cmsg_len - CMSG_LEN(sizeof error);
        std::memcpy(&offender, CMSG_DATA(c) + sizeof error, std::min(room, sizeof(sockaddr_in6)));
        std::string words = error_words(key_.v6, error.ee_type, error.ee_code);
        const std::string by = gorb::sdk::to_string(from_sockaddr(offender));
        if (!by.empty()) words += ", says " + by;
        failed(*echo, from_sockaddr(to), words, static_cast<int>(error.ee_errno));
    }
    return true;
}

void EchoSocket::failed(const Echo& echo, const gorb_addr& to, const std::string& words, int err) {
    const auto found = flights_.find(echo.sequence);
    if (found == flights_.end() || !same_ip(found->second.to, to)) return;
    Events* const events = found->second.events;
    flights_.erase(found);
    events->unreachable(echo.sequence, words, err);
}

Sockets::Sockets(const gorb::sdk::Host& host, const gorb::sdk::Config& config) : host_(host), state_{} {
    const auto kind = config.text("socket").value_or("any");
    if (kind == "ping") kind_ = Kind::ping;
    if (kind == "raw") kind_ = Kind::raw;
    if (getrandom(state_, sizeof state_, 0) != sizeof state_)
        throw Error("the kernel gives no random number", EAGAIN);
}

std::shared_ptr<EchoSocket> Sockets::get(const SocketKey& key) {
    for (auto it = sockets_.begin(); it != sockets_.end();)
        it = it->second.expired() ? sockets_.erase(it) : std::next(it);
    auto& entry = sockets_[key];
    auto socket = entry.lock();
    if (!socket) entry = socket = std::make_shared<EchoSocket>(host_, key, kind_);
    return socket;
}

// splitmix64 of a secret start and step: not to be guessed by who sees none of them.
uint64_t Sockets::token() {
    uint64_t z = state_[0] += state_[1] | 1;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

}  // namespace pulse_icmp
