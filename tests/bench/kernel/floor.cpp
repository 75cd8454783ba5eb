// The floor: the operations that gorbd has to make, sent to the kernel with as few system calls as can be, by
// a program that keeps no state, checks nothing and answers nobody.
//
//     bench_kernel_floor load SERVICES BACKENDS      adds the services, then their destinations
//     bench_kernel_floor weights SERVICES BACKENDS COUNT WEIGHT
//                                                    gives COUNT destinations that weight
//     bench_kernel_floor flush
//
// The addresses are those of table.py. Messages are made beforehand and are not part of the time; only the
// last of a send asks for an acknowledgement, since the kernel reports what it refuses in any case. Prints
// what it took in milliseconds: wall time and CPU time of the process.
#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {

constexpr size_t send_bytes = 256 * 1024;

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

class Message {
  public:
    Message(std::vector<char>& out, uint16_t type, uint8_t command, uint8_t version, uint16_t flags)
        : out_(out), begin_(out.size()) {
        nlmsghdr header{};
        header.nlmsg_type = type;
        header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
        genlmsghdr generic{};
        generic.cmd = command;
        generic.version = version;
        put(&header, sizeof header);
        put(&generic, sizeof generic);
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    ~Message() {
        const auto length = static_cast<uint32_t>(out_.size() - begin_);
        std::memcpy(out_.data() + begin_, &length, sizeof length);
    }

    size_t open(uint16_t kind) {
        const size_t at = out_.size();
        const nlattr header{0, static_cast<uint16_t>(kind | NLA_F_NESTED)};
        put(&header, sizeof header);
        return at;
    }
    void close(size_t at) {
        const auto length = static_cast<uint16_t>(out_.size() - at);
        std::memcpy(out_.data() + at, &length, sizeof length);
    }
    void attribute(uint16_t kind, const void* data, size_t size) {
        const nlattr header{static_cast<uint16_t>(sizeof header + size), kind};
        put(&header, sizeof header);
        put(data, size);
    }
    template <class Number>
    void number(uint16_t kind, Number value) {
        attribute(kind, &value, sizeof value);
    }
    void text(uint16_t kind, const char* value) { attribute(kind, value, std::strlen(value) + 1); }

  private:
    void put(const void* data, size_t size) {
        const auto* bytes = static_cast<const char*>(data);
        out_.insert(out_.end(), bytes, bytes + size);
        out_.resize((out_.size() + 3) & ~size_t{3});
    }

    std::vector<char>& out_;
    size_t begin_;
};

class Kernel {
  public:
    Kernel() : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)) {
        if (fd_ < 0) fail("socket");
        const int size = 8 << 20;
        const int on = 1;
        setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
        setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
        setsockopt(fd_, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
        sockaddr_nl kernel{};
        kernel.nl_family = AF_NETLINK;
        if (connect(fd_, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) != 0) fail("connect");
        family_ = family();
    }
    uint16_t type() const { return family_; }

    // Sends messages, the last of which asks for an answer, and waits for it.
    void send(const std::vector<char>& messages) const {
        if (::send(fd_, messages.data(), messages.size(), 0) < 0) fail("send");
        std::array<char, 8192> answer;
        const ssize_t length = recv(fd_, answer.data(), answer.size(), 0);
        if (length < static_cast<ssize_t>(sizeof(nlmsghdr) + sizeof(int))) fail("recv");
        int error = 0;
        std::memcpy(&error, answer.data() + sizeof(nlmsghdr), sizeof error);
        errno = -error;
        if (error != 0) fail("the kernel refused an operation");
    }

  private:
    uint16_t family() const {
        std::vector<char> request;
        {
            Message message(request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, 0);
            message.text(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME);
        }
        if (::send(fd_, request.data(), request.size(), 0) < 0) fail("send");
        std::array<char, 8192> answer;
        const ssize_t length = recv(fd_, answer.data(), answer.size(), 0);
        for (ssize_t at = sizeof(nlmsghdr) + sizeof(genlmsghdr); at + 4 <= length;) {
            nlattr attribute;
            std::memcpy(&attribute, answer.data() + at, sizeof attribute);
            if (attribute.nla_len < sizeof attribute) break;
            if (attribute.nla_type == CTRL_ATTR_FAMILY_ID) {
                uint16_t id = 0;
                std::memcpy(&id, answer.data() + at + sizeof attribute, sizeof id);
                return id;
            }
            at += NLA_ALIGN(attribute.nla_len);
        }
        errno = ENOENT;
        fail("family IPVS");
    }

    int fd_;
    uint16_t family_ = 0;
};

// As table.py has them.
in_addr vip(unsigned service) {
    return {htonl(0x0a000000U | ((20 + service / 250) << 16) | ((service % 250) << 8) | 1U)};
}
in_addr real(unsigned service, unsigned backend) {
    return {htonl((0x0a000000U | (100U << 16)) + service * 100 + backend)};
}

void put_service_key(Message& message, unsigned service) {
    message.number<uint16_t>(IPVS_SVC_ATTR_AF, AF_INET);
    message.number<uint16_t>(IPVS_SVC_ATTR_PROTOCOL, IPPROTO_TCP);
    std::array<char, 16> address{};
    const in_addr ip = vip(service);
    std::memcpy(address.data(), &ip, sizeof ip);
    message.attribute(IPVS_SVC_ATTR_ADDR, address.data(), address.size());
    message.number<uint16_t>(IPVS_SVC_ATTR_PORT, htons(80));
}

class Sends {
  public:
    explicit Sends(const Kernel& kernel) : kernel_(kernel) {}

    void service(unsigned number) {
        Message message(next(), kernel_.type(), IPVS_CMD_NEW_SERVICE, IPVS_GENL_VERSION, 0);
        const size_t nest = message.open(IPVS_CMD_ATTR_SERVICE);
        put_service_key(message, number);
        message.text(IPVS_SVC_ATTR_SCHED_NAME, "wrr");
        const std::array<uint32_t, 2> flags{0, ~0U};
        message.attribute(IPVS_SVC_ATTR_FLAGS, flags.data(), sizeof flags);
        message.number<uint32_t>(IPVS_SVC_ATTR_TIMEOUT, 0);
        message.number<uint32_t>(IPVS_SVC_ATTR_NETMASK, ~0U);
        message.close(nest);
    }

    void dest(uint8_t command, unsigned service, unsigned backend, uint32_t weight) {
        Message message(next(), kernel_.type(), command, IPVS_GENL_VERSION, 0);
        size_t nest = message.open(IPVS_CMD_ATTR_SERVICE);
        put_service_key(message, service);
        message.close(nest);
        nest = message.open(IPVS_CMD_ATTR_DEST);
        std::array<char, 16> address{};
        const in_addr ip = real(service, backend);
        std::memcpy(address.data(), &ip, sizeof ip);
        message.number<uint16_t>(IPVS_DEST_ATTR_ADDR_FAMILY, AF_INET);
        message.attribute(IPVS_DEST_ATTR_ADDR, address.data(), address.size());
        message.number<uint16_t>(IPVS_DEST_ATTR_PORT, htons(8080));
        message.number<uint32_t>(IPVS_DEST_ATTR_FWD_METHOD, IP_VS_CONN_F_MASQ);
        message.number<uint32_t>(IPVS_DEST_ATTR_WEIGHT, weight);
        message.number<uint32_t>(IPVS_DEST_ATTR_U_THRESH, 0);
        message.number<uint32_t>(IPVS_DEST_ATTR_L_THRESH, 0);
        message.close(nest);
    }

    void flush() { Message message(next(), kernel_.type(), IPVS_CMD_FLUSH, IPVS_GENL_VERSION, 0); }

    // Sends all of it and prints the time.
    void run() {
        for (std::vector<char>& send : sends_) ask_for_answer(send);
        const auto begin = std::chrono::steady_clock::now();
        const clock_t cpu = std::clock();
        for (const std::vector<char>& send : sends_) kernel_.send(send);
        const clock_t used = std::clock() - cpu;
        const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - begin;
        std::printf("%.3f %.3f\n", wall.count(), 1e3 * static_cast<double>(used) / CLOCKS_PER_SEC);
    }

  private:
    std::vector<char>& next() {
        if (sends_.empty() || sends_.back().size() > send_bytes) sends_.emplace_back();
        return sends_.back();
    }

    static void ask_for_answer(std::vector<char>& messages) {
        size_t last = 0;
        for (size_t at = 0; at < messages.size();) {
            uint32_t length = 0;
            std::memcpy(&length, messages.data() + at, sizeof length);
            last = at;
            at += NLMSG_ALIGN(length);
        }
        uint16_t flags = 0;
        std::memcpy(&flags, messages.data() + last + offsetof(nlmsghdr, nlmsg_flags), sizeof flags);
        flags |= NLM_F_ACK;
        std::memcpy(messages.data() + last + offsetof(nlmsghdr, nlmsg_flags), &flags, sizeof flags);
    }

    const Kernel& kernel_;
    std::vector<std::vector<char>> sends_;
};

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    const auto number = [&](int i) {
        return argc > i ? static_cast<unsigned>(std::strtoul(argv[i], nullptr, 10)) : 0U;
    };
    const unsigned services = number(2), backends = number(3);
    const Kernel kernel;
    Sends sends(kernel);
    if (what == "flush") {
        sends.flush();
    } else if (what == "load" && services > 0) {
        for (unsigned s = 0; s < services; ++s) sends.service(s);
        for (unsigned s = 0; s < services; ++s) {
            for (unsigned b = 0; b < backends; ++b) sends.dest(IPVS_CMD_NEW_DEST, s, b, 100);
        }
    } else if (what == "weights" && argc == 6) {
        for (unsigned i = 0; i < number(4); ++i)
            sends.dest(IPVS_CMD_SET_DEST, i / backends, i % backends, number(5));
    } else {
        std::fprintf(stderr, "load SERVICES BACKENDS | weights SERVICES BACKENDS COUNT WEIGHT | flush\n");
        return 2;
    }
    sends.run();
}
