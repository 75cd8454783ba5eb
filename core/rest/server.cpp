#include "rest/server.h"

#include <Poco/Exception.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/SocketAddress.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <optional>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "io/priority.h"
#include "io/relief.h"
#include "rest/conn_table.h"

namespace gorb::rest {
namespace {

constexpr int backlog = 1024;
constexpr int accepts_a_turn = 64;
constexpr uint64_t accept_pause_ns = 100'000'000;
constexpr uint64_t log_pause_ns = 10'000'000'000;

base::Endpoint endpoint_of(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {  // an IPv4 client of a listener on "::"
            return {base::Ip::from_bytes(AF_INET, v6.sin6_addr.s6_addr + 12), ntohs(v6.sin6_port)};
        }
        return {base::Ip::from_bytes(AF_INET6, &v6.sin6_addr), ntohs(v6.sin6_port)};
    }
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return {base::Ip::from_bytes(AF_INET, &v4.sin_addr), ntohs(v4.sin_port)};
}

// A kernel may be without IPv6, as with ipv6.disable=1; all addresses are those of IPv4 then.
base::Ip of_this_kernel(const base::Ip& wanted) {
    if (!wanted.v6() || !wanted.unspecified()) return wanted;
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EAFNOSUPPORT) return *base::Ip::parse("0.0.0.0");
    if (fd >= 0) close(fd);
    return wanted;
}

// What there is to say without a connection of its own in the table.
constexpr std::string_view no_descriptors =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: "
    "65\r\nRetry-After: 1\r\n"
    "Connection: close\r\n\r\n"
    R"({"error":"the daemon has no descriptor left for this connection"})";

void turn_away(int fd) {
    [[maybe_unused]] const auto sent = send(fd, no_descriptors.data(), no_descriptors.size(), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    // What has come already would turn the close into a reset.
    [[maybe_unused]] const auto dropped = recv(fd, nullptr, 64 << 10, MSG_TRUNC | MSG_DONTWAIT);
    close(fd);
}

}  // namespace

struct Server::Impl {
    Impl(Limits limits, Handler handler) : loop("rest"), table(loop, std::move(limits), std::move(handler)) {}

    base::Status open(const base::Endpoint& asked);
    base::Status watch_listener();
    void accept();
    int accept_next(sockaddr_storage& from);
    bool accept_one();
    void complain(const std::string& why);
    bool out_of_descriptors();
    void look_away();
    void stop_accepting();

    io::Loop loop;
    Poco::Net::ServerSocket socket;
    bool listening = false;
    base::Endpoint address;
    int reserve = -1;  // a descriptor to give up when there is none left, so that the newcomer can be told
    io::TimerId resume = 0;
    uint64_t last_complaint = 0;
    ConnTable table;
    std::optional<io::Relief> relief;
    std::function<void()> begin;
    std::thread thread;
    bool stopped = false;
};

base::Status Server::Impl::open(const base::Endpoint& asked) {
    const base::Endpoint wanted{of_this_kernel(asked.ip), asked.port};
    try {
        const Poco::Net::SocketAddress to(Poco::Net::IPAddress(wanted.ip.text()), wanted.port);
        // SO_REUSEADDR without SO_REUSEPORT: a second daemon on our port would take half of our clients.
        if (wanted.ip.v6()) {
            socket.bind6(to, true, false, false);
        } else {
            socket.bind(to, true, false);
        }
        socket.listen(backlog);
        socket.setBlocking(false);
        socket.setNoDelay(true);  // inherited by the connections
        address = {wanted.ip, socket.address().port()};
    } catch (const Poco::Exception& e) {
        return base::fail(base::Errc::unavailable,
                          "cannot listen on " + wanted.text() + ": " + e.displayText());
    }
    reserve = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    listening = true;
    return watch_listener();
}

base::Status Server::Impl::watch_listener() {
    return loop.watch(socket.impl()->sockfd(), io::readable, [this](uint32_t) { accept(); });
}

void Server::Impl::accept() {
    for (int i = 0; i < accepts_a_turn && accept_one(); ++i) continue;
}

int Server::Impl::accept_next(sockaddr_storage& from) {
    socklen_t size = sizeof from;
    return accept4(socket.impl()->sockfd(), reinterpret_cast<sockaddr*>(&from), &size,
                   SOCK_NONBLOCK | SOCK_CLOEXEC);
}

// false: there is nothing more to accept for now.
bool Server::Impl::accept_one() {
    sockaddr_storage from{};
    const int fd = accept_next(from);
    if (fd >= 0) {
        table.add(fd, endpoint_of(from).text());
        return true;
    }
    switch (errno) {
        case EAGAIN:
            return false;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return out_of_descriptors();
        default:
            return true;  // what became of that one connection, as accept(2) reports it here
    }
}

// We have no descriptor, and perhaps a client is waiting for one: the kernel says the same when nobody is
// there. Giving up the reserve shows who it is. An idle connection makes room for him, or one that was given
// up; else he is at least told.
bool Server::Impl::out_of_descriptors() {
    if (reserve >= 0) {
        close(reserve);
        sockaddr_storage from{};
        const int fd = accept_next(from);
        const bool nobody = fd < 0 && errno == EAGAIN;
        if (fd >= 0) complain("no descriptor is left");
        const bool room = fd >= 0 && table.make_room();
        if (fd >= 0 && !room) turn_away(fd);
        reserve = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (room) table.add(fd, endpoint_of(from).text());
        // Who was turned away is followed by what else has come: a connection that ended makes room for the
        // next.
        if (reserve >= 0 && fd >= 0) return room;
        if (reserve >= 0 && nobody) return false;
    } else {
        complain("no descriptor is left");
        table.make_room();
        reserve = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    look_away();
    return false;
}

// Nothing helps: the listener stays readable, so look away for a moment instead of spinning.
void Server::Impl::look_away() {
    [[maybe_unused]] const auto forgotten = loop.watch(socket.impl()->sockfd(), 0, nullptr);
    loop.cancel(resume);
    resume = loop.at(loop.now() + accept_pause_ns, [this] {
        const auto watched = watch_listener();
        if (watched) return;
        complain(watched.error().sentence);
        look_away();
    });
}

void Server::Impl::complain(const std::string& why) {
    const uint64_t now = loop.now();
    if (last_complaint != 0 && now - last_complaint < log_pause_ns) return;
    last_complaint = now;
    base::log_warning("can not accept a REST client",
                      {{"error", why}, {"connections", std::to_string(table.size())}});
}

void Server::Impl::stop_accepting() {
    if (!listening) return;
    listening = false;
    loop.cancel(resume);
    [[maybe_unused]] const auto forgotten = loop.watch(socket.impl()->sockfd(), 0, nullptr);
    socket.close();
    if (reserve >= 0) close(reserve);
    reserve = -1;
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() {
    stop();
    if (impl_->thread.joinable()) impl_->thread.join();
}

void Server::between_requests(std::function<void()> begin, io::Loop::Between between) {
    impl_->begin = std::move(begin);
    impl_->relief.emplace(impl_->loop, std::move(between));
}

base::Result<std::unique_ptr<Server>> Server::listen(const base::Endpoint& address, Limits limits,
                                                     Handler handler) {
    auto impl = std::make_unique<Impl>(std::move(limits), std::move(handler));
    if (auto opened = impl->open(address); !opened) {
        impl->stop_accepting();
        return base::fail(std::move(opened.error()));
    }
    return std::unique_ptr<Server>(new Server(std::move(impl)));
}

base::Endpoint Server::address() const {
    return impl_->address;
}
io::Loop& Server::loop() {
    return impl_->loop;
}
size_t Server::connections() const {
    return impl_->table.size();
}

void Server::start() {
    GORB_CHECK(!impl_->thread.joinable() && !impl_->stopped);
    if (impl_->relief) impl_->relief->start(io::give_way);
    impl_->thread = std::thread([impl = impl_.get()] {
        io::give_way();  // whoever writes 100,000 backends can wait for the checks
        if (impl->begin) impl->begin();
        impl->loop.run();
    });
}

void Server::stop(std::chrono::milliseconds grace) {
    if (std::exchange(impl_->stopped, true)) return;
    if (impl_->thread.joinable()) {
        const auto finished = std::make_shared<std::promise<void>>();
        impl_->loop.post([impl = impl_.get(), grace, finished] {
            impl->stop_accepting();
            impl->table.finish(grace, [impl, finished] {
                impl->loop.stop();
                finished->set_value();
            });
        });
        finished->get_future().wait();
        impl_->loop.wait_over();
    }
    impl_->stop_accepting();
    impl_->table.close_all();
}

}  // namespace gorb::rest
