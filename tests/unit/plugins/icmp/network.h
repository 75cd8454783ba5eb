// The network of these tests: main() moves the process into a network namespace of its own before anything
// else. There are the loopback device, answers that a test makes up, and a router in a second namespace.
#pragma once
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace plugin_test {

inline void set_sysctl(const std::string& name, const std::string& value) {
    std::ofstream file("/proc/sys/net/" + name);
    file << value << std::flush;
    if (!file) throw std::runtime_error("/proc/sys/net/" + name + " can not be set to " + value);
}
inline void sh(const std::string& command) {
    if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

// May the group use ping sockets? As at the start for as long as this lives.
class PingSockets {
  public:
    explicit PingSockets(bool allowed) { set_sysctl("ipv4/ping_group_range", allowed ? "0 0" : "1 0"); }
    ~PingSockets() { set_sysctl("ipv4/ping_group_range", "1 0"); }
    PingSockets(const PingSockets&) = delete;
    PingSockets& operator=(const PingSockets&) = delete;
};

// Answers the echo requests to 127.0.0.0/8 instead of the kernel, on a thread of its own.
class Responder {
  public:
    // `request`: the ICMP message. Returns the ICMP messages to send back, in this order.
    using Handler =
        std::function<std::vector<std::string>(std::string_view request, std::string_view ip_header)>;

    explicit Responder(Handler handler)
        : handler_(std::move(handler)),
          fd_(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP)),
          stop_(eventfd(0, EFD_CLOEXEC)) {
        if (fd_ < 0) throw std::runtime_error("no raw socket in a namespace of our own");
        set_sysctl("ipv4/icmp_echo_ignore_all", "1");
        thread_ = std::thread([this] { serve(); });
    }
    ~Responder() {
        const uint64_t one = 1;
        while (write(stop_, &one, sizeof one) < 0) continue;
        thread_.join();
        close(fd_);
        close(stop_);
        set_sysctl("ipv4/icmp_echo_ignore_all", "0");
    }
    Responder(const Responder&) = delete;
    Responder& operator=(const Responder&) = delete;
    int requests() const { return requests_; }

    // The reply to `request`, with its checksum; `change` is called before that is made.
    static std::string reply(std::string_view request, const std::function<void(std::string&)>& change = {}) {
        std::string out(request);
        out[0] = ICMP_ECHOREPLY;
        out[2] = out[3] = 0;
        if (change) change(out);
        uint32_t sum = 0;
        for (size_t i = 0; i < out.size(); ++i)
            sum += static_cast<uint32_t>(static_cast<unsigned char>(out[i])) << (i % 2 ? 0 : 8);
        while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
        out[2] = static_cast<char>(~sum >> 8 & 0xff);
        out[3] = static_cast<char>(~sum & 0xff);
        return out;
    }

  private:
    void serve() {
        for (;;) {
            pollfd fds[] = {{stop_, POLLIN, 0}, {fd_, POLLIN, 0}};
            poll(fds, 2, -1);
            if (fds[0].revents) return;
            char buffer[4096];
            sockaddr_in from{};
            socklen_t size = sizeof from;
            const ssize_t n =
                recvfrom(fd_, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
            if (n < 28 || buffer[20] != ICMP_ECHO) continue;
            ++requests_;
            const std::string_view message(buffer, static_cast<size_t>(n));
            // The answer comes from where the request went to.
            in_addr to{};
            __builtin_memcpy(&to, buffer + 16, sizeof to);
            in_pktinfo info{0, to, {}};
            for (const auto& one : handler_(message.substr(20), message.substr(0, 20))) {
                alignas(cmsghdr) char control[CMSG_SPACE(sizeof info)] = {};
                iovec part = {const_cast<char*>(one.data()), one.size()};
                msghdr out{&from, size, &part, 1, control, sizeof control, 0};
                cmsghdr* c = CMSG_FIRSTHDR(&out);
                c->cmsg_level = IPPROTO_IP;
                c->cmsg_type = IP_PKTINFO;
                c->cmsg_len = CMSG_LEN(sizeof info);
                __builtin_memcpy(CMSG_DATA(c), &info, sizeof info);
                sendmsg(fd_, &out, 0);
            }
        }
    }
    const Handler handler_;
    const int fd_, stop_;
    std::atomic<int> requests_{0};
    std::thread thread_;
};

// A link on which 10.90.0.0/24 is and nobody answers to ARP.
class DeadLink {
  public:
    DeadLink() {
        sh("ip link add dead0 type veth peer name dead1; ip address add 10.90.0.254/24 dev dead0; ip link "
           "set "
           "dead0 up; ip link set dead1 up");
    }
    ~DeadLink() {
        if (std::system("ip link delete dead0") != 0) ADD_FAILURE() << "dead0 could not be deleted";
    }
    DeadLink(const DeadLink&) = delete;
    DeadLink& operator=(const DeadLink&) = delete;
};

// A router behind a veth, 10.77.0.1 and fd77::1; we are 10.77.0.2 and fd77::2, and it is the way to
// everything. It prohibits 10.78.0.0/24 and fd78::/64, finds 10.79.0.0/24 and fd79::/64 unreachable, has no
// route to 10.81.0.0/24, and drops what is for 10.80.0.0/24 without a word. 10.77.0.9 is nobody.
class Router {
  public:
    Router() {
        int ready[2], stay[2];
        if (pipe(ready) != 0 || pipe(stay) != 0) throw std::runtime_error("no pipe");
        pid_ = fork();
        if (pid_ == 0) {
            close(stay[1]);
            const char good = unshare(CLONE_NEWNET) == 0 ? '+' : '-';
            char end = 0;
            if (write(ready[1], &good, 1) == 1 && read(stay[0], &end, 1) >= 0) _exit(0);
            _exit(1);
        }
        close(stay[0]);
        close(ready[1]);
        stay_ = stay[1];
        char good = 0;
        if (read(ready[0], &good, 1) != 1 || good != '+')
            throw std::runtime_error("no second network namespace");
        close(ready[0]);
        const std::string there = std::to_string(pid_), in = "nsenter --net=/proc/" + there + "/ns/net ";
        sh("ip link add gorb0 type veth peer name gorb1 netns " + there);
        sh(in +
           "sh -ec 'ip link set lo up; ip address add 10.77.0.1/24 dev gorb1; ip address add fd77::1/64 dev "
           "gorb1 nodad;"
           " ip link set gorb1 up; echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > "
           "/proc/sys/net/ipv4/icmp_ratelimit; echo 0 > /proc/sys/net/ipv6/icmp/ratelimit; echo 1 > "
           "/proc/sys/net/ipv6/conf/all/forwarding;"
           " ip route add prohibit 10.78.0.0/24; ip route add unreachable 10.79.0.0/24; ip route add "
           "blackhole 10.80.0.0/24;"
           " ip -6 route add prohibit fd78::/64; ip -6 route add unreachable fd79::/64; ip route add "
           "10.82.0.0/24 via 10.77.0.2; ip -6 route add fd82::/64 via fd77::2'");
        sh("ip address add 10.77.0.2/24 dev gorb0; ip address add fd77::2/64 dev gorb0 nodad; ip link set "
           "gorb0 up");
        sh("ip route add default via 10.77.0.1; ip -6 route add default via fd77::1");
        set_sysctl("ipv4/neigh/gorb0/retrans_time_ms", "50");
    }
    ~Router() {
        if (std::system("ip link delete gorb0") != 0) ADD_FAILURE() << "gorb0 could not be deleted";
        close(stay_);
        waitpid(pid_, nullptr, 0);
    }
    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;

  private:
    pid_t pid_ = 0;
    int stay_ = -1;
};

}  // namespace plugin_test
