// What the running kernel makes of probes on reused sockets (io/probe.h), in a network namespace of its own:
//
//     tests/vm/run build/dev/bin/probe-facts        needs root and iproute2
//
// Prints one line for each fact, and ends with 0 when all of them are as core/README.md says.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "io/probe.h"

namespace {

using namespace gorb;

bool all_well = true;

void fact(bool well, const std::string& words) {
    std::printf("%s %s\n", well ? "ok  " : "FAIL", words.c_str());
    std::fflush(stdout);
    all_well = all_well && well;
}

void sh(const std::string& command) {
    if (std::system(command.c_str()) != 0) fact(false, "command failed: " + command);
}

// Counters of this namespace by name: "PassiveOpens", "TW", ... IPv4's and IPv6's TCP share them.
std::map<std::string, long> counters() {
    std::map<std::string, long> all;
    for (const char* file : {"/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"}) {
        std::ifstream lines(file);
        std::string names, values;
        while (std::getline(lines, names) && std::getline(lines, values)) {
            std::istringstream n(names), v(values);
            std::string name, value;
            n >> name;
            v >> value;
            while (n >> name && v >> value) all[name] = std::atol(value.c_str());
        }
    }
    std::ifstream stat("/proc/thread-self/net/sockstat");
    std::string line;
    while (std::getline(stat, line)) {
        if (!line.starts_with("TCP:")) continue;
        std::istringstream words(line);
        std::string word;
        long value = 0;
        words >> word;
        while (words >> word >> value) all["sockets " + word] = value;
    }
    return all;
}

struct Answer final : io::ProbeEvents {
    void probed(int w) override {
        why = w;
        told = true;
    }
    int why = 0;
    bool told = false;
};

struct Prober {
    // What came of one probe; the errno of a refusal as a positive number.
    int probe(const base::Endpoint& peer, const io::Way& way = {}, int64_t ms = 20'000) {
        Answer answer;
        auto started = pool.start(peer, way, loop.now() + static_cast<uint64_t>(ms) * 1'000'000, answer);
        if (!started) {
            words = started.error().sentence;
            return started.error().os_error;
        }
        while (!answer.told) {
            if (!loop.step()) poll(nullptr, 0, 1);
        }
        return answer.why;
    }
    io::Loop loop{"facts"};
    io::SocketPool sockets{loop};
    io::ProbePool pool{loop, sockets};
    std::string words;
};

base::Ip ip(const char* text) {
    return base::Ip::parse(text).value();
}

int listener(const base::Endpoint& at) {
    const int fd = socket(at.ip.af(), SOCK_STREAM | SOCK_NONBLOCK, 0);
    const io::SocketAddress address(at, 0);
    if (bind(fd, address.get(), address.size) != 0 || listen(fd, 128) != 0) {
        fact(false, "can not listen on " + at.text() + ": " + std::strerror(errno));
    }
    return fd;
}

void open_and_closed_ports(const char* address, const io::Way& way, const std::string& name) {
    constexpr int rounds = 2000;
    const base::Endpoint open{ip(address), 8080}, closed{ip(address), 8081};
    const int server = listener(open);
    Prober prober;
    const auto before = counters();
    int opened = 0, refused = 0, others = 0;
    for (int i = 0; i < rounds; ++i) {
        const int why = prober.probe(open, way);
        (why == 0 ? opened : others) += 1;
    }
    auto after = counters();
    const auto grew = [&](const char* counter) { return after.at(counter) - before.at(counter); };
    fact(opened == rounds && others == 0, name + ": " + std::to_string(opened) + " of " +
                                              std::to_string(rounds) + " probes found the open port");
    fact(accept(server, nullptr, nullptr) < 0 && errno == EAGAIN && grew("PassiveOpens") == 0,
         name + ": the server's accept() saw none of them");
    fact(after["sockets tw"] == 0, name + ": no TIME_WAIT");
    fact(grew("ActiveOpens") == rounds && grew("OutRsts") == rounds && grew("RetransSegs") == 0,
         name + ": SYNs " + std::to_string(grew("ActiveOpens")) + ", RSTs " +
             std::to_string(grew("OutRsts")) + ", repeated " + std::to_string(grew("RetransSegs")));
    fact(grew("InSegs") <= 3 * rounds, name + ": segments for each probe (SYN, SYN-ACK, RST): " +
                                           std::to_string(static_cast<double>(grew("InSegs")) / rounds));
    for (int i = 0; i < rounds; ++i) refused += prober.probe(closed, way) == -ECONNREFUSED ? 1 : 0;
    fact(refused == rounds, name + ": " + std::to_string(refused) + " found the closed one refusing");
    // One that is bound to an IPv6 source is not used again: see io/socket_pool.
    const bool once = way.source.ip && !way.source.ip.v4();
    fact(prober.sockets.sockets() == (once ? 0 : 1),
         name + (once ? ": each by a socket of its own" : ": all by one socket"));
    close(server);
}

// A port range of a few ports serves any number of probes one after the other, and is said to be used up when
// it is.
void ports_come_back() {
    std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "40000 40009\n";
    const base::Endpoint open{ip("127.0.0.1"), 8080};
    const int server = listener(open);
    Prober prober;
    int well = 0;
    for (int i = 0; i < 500; ++i) well += prober.probe(open) == 0 ? 1 : 0;
    fact(well == 500, "ports: 500 probes to one address through a range of 10 ports");
    std::vector<Answer> answers(11);
    int refused = 0;
    for (Answer& answer : answers) {
        auto started = prober.pool.start(open, {}, 0, answer);
        if (!started) refused += started.error().os_error == EADDRNOTAVAIL ? 1 : 100;
    }
    fact(refused == 1, "ports: the 11th at once is refused as our own trouble (EADDRNOTAVAIL)");
    for (int i = 0; i < 100; ++i) prober.loop.step();
    fact(prober.probe(open) == 0, "ports: and they are free again afterwards");
    std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "32768 60999\n";
    close(server);
}

void routes() {
    sh("ip route add blackhole 10.8.1.0/24 && ip route add unreachable 10.8.2.0/24 && "
       "ip route add prohibit 10.8.3.0/24");
    sh("ip -6 route add unreachable fd08:2::/64 && ip -6 route add prohibit fd08:3::/64");
    Prober prober;
    const std::pair<const char*, int> refused[] = {{"10.8.1.1", EINVAL},        {"10.8.2.1", EHOSTUNREACH},
                                                   {"10.8.3.1", EACCES},        {"192.0.2.1", ENETUNREACH},
                                                   {"fd08:2::1", EHOSTUNREACH}, {"fd08:3::1", EACCES},
                                                   {"2001:db8::1", ENETUNREACH}};
    for (const auto& [address, error] : refused) {
        const int got = prober.probe({ip(address), 80});
        fact(got == error,
             std::string("routes: ") + address + " is refused at once, our own trouble: " + prober.words);
    }
}

// A neighbour that does not answer, one that drops, one that says prohibited.
void neighbours() {
    sh("ip link add gorb0 type veth peer name gorb1 && ip link set gorb0 up && ip link set gorb1 up && "
       "ip addr add 10.7.0.1/24 dev gorb0 && ip -6 addr add fd07::1/64 dev gorb0 nodad");
    for (const char* address : {"10.7.0.99", "fd07::99"}) {
        Prober prober;
        const int late = prober.probe({ip(address), 80}, {}, 500);
        fact(late == -ETIMEDOUT, std::string("neighbours: ") + address + ", absent: timed out at 500 ms");
        const int why = prober.probe({ip(address), 80});
        fact(why == -EHOSTUNREACH, std::string("neighbours: ") + address +
                                       ", absent: the kernel says host unreachable after a while (errno " +
                                       std::to_string(-why) + "), the target's fault");
    }
    io::Way way;
    way.interface = "gorb0";
    Prober prober;
    fact(prober.probe({ip("10.7.0.99"), 80}, way, 300) == -ETIMEDOUT, "devices: gorb0 is used");
    sh("ip link del gorb0");
    const int gone = prober.probe({ip("10.7.0.99"), 80}, way, 300);
    fact(gone > 0, "devices: one that is gone is our own trouble: " + prober.words);
}

void sources() {
    sh("ip addr add 10.6.0.1/32 dev lo && ip -6 addr add fd06::1/128 dev lo nodad");
    for (const char* address : {"127.0.0.1", "::1"}) {
        io::Way way;
        way.source.ip = ip(std::strchr(address, ':') ? "fd06::1" : "10.6.0.1");
        way.interface = "lo";
        open_and_closed_ports(address, way,
                              std::string(address) + " from " + way.source.ip.text() + " by lo");
    }
    // One port for many peers, which needs IP_BIND_ADDRESS_NO_PORT: for IPv6 it is of SOL_IP as well.
    std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "40000 40009\n";
    for (const char* address : {"127.0.0.1", "::1"}) {
        io::Way way;
        way.source.ip = ip(std::strchr(address, ':') ? "fd06::1" : "10.6.0.1");
        std::vector<int> servers;
        Prober prober;
        std::vector<Answer> answers(40);
        int began = 0;
        for (uint16_t i = 0; i < 40; ++i) {
            servers.push_back(listener({ip(address), static_cast<uint16_t>(9000 + i)}));
            began +=
                prober.pool.start({ip(address), static_cast<uint16_t>(9000 + i)}, way, 0, answers[i]) ? 1 : 0;
        }
        fact(began == 40, std::string(address) + ": " + std::to_string(began) +
                              " peers at once from a bound source through a range of 10 ports");
        for (int i = 0; i < 100; ++i) prober.loop.step();
        for (const int fd : servers) close(fd);
    }
    std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "32768 60999\n";
}

}  // namespace

int main() {
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
        std::printf("FAIL needs root: no network namespace: %s\n", std::strerror(errno));
        return 1;
    }
    utsname name{};
    uname(&name);
    std::printf("kernel %s\n", name.release);
    sh("ip link set lo up");
    open_and_closed_ports("127.0.0.1", {}, "127.0.0.1");
    open_and_closed_ports("::1", {}, "::1");
    sources();
    ports_come_back();
    routes();
    neighbours();
    return all_well ? 0 : 1;
}
