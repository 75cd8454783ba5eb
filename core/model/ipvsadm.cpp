// read_ipvsadm: lines as ipvsadm(8) 1.31 writes them (-Sn) and reads them (-R), word by word.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "model/config.h"
#include "model/fields.h"
#include "model/rules.h"

namespace gorb::model {
namespace {

using base::Fault;

// What ipvsadm 1.31 makes of -p without a number; its manual says 300.
constexpr uint32_t plain_persistence_s = 360;

enum class Word : uint8_t {
    add_service,
    add_server,
    other_command,  // of ipvsadm, but nothing that is in a saved table
    tcp,
    udp,
    sctp,
    fwmark,
    ipv6,
    scheduler,
    persistent,
    netmask,
    engine,
    one_packet,
    flags,
    server,
    masq,
    gate,
    ipip,
    local,
    weight,
    upper,
    lower,
    tunnel_type,
    tunnel_option,
    numeric,
};
enum class Takes : uint8_t { nothing, one, maybe };

struct Option {
    std::string_view shorter, longer;
    Word word;
    Takes takes = Takes::nothing;
};
constexpr std::array options = {
    Option{"-A", "--add-service", Word::add_service},
    Option{"-a", "--add-server", Word::add_server},
    Option{"-E", "--edit-service", Word::other_command},
    Option{"-D", "--delete-service", Word::other_command},
    Option{"-C", "--clear", Word::other_command},
    Option{"-e", "--edit-server", Word::other_command},
    Option{"-d", "--delete-server", Word::other_command},
    Option{"-Z", "--zero", Word::other_command},
    Option{"", "--set", Word::other_command},
    Option{"", "--start-daemon", Word::other_command},
    Option{"", "--stop-daemon", Word::other_command},
    Option{"-t", "--tcp-service", Word::tcp, Takes::one},
    Option{"-u", "--udp-service", Word::udp, Takes::one},
    Option{"", "--sctp-service", Word::sctp, Takes::one},
    Option{"-f", "--fwmark-service", Word::fwmark, Takes::one},
    Option{"-6", "--ipv6", Word::ipv6},
    Option{"-s", "--scheduler", Word::scheduler, Takes::one},
    Option{"-p", "--persistent", Word::persistent, Takes::maybe},
    Option{"-M", "--netmask", Word::netmask, Takes::one},
    Option{"", "--pe", Word::engine, Takes::one},
    Option{"-o", "--ops", Word::one_packet},
    Option{"-b", "--sched-flags", Word::flags, Takes::one},
    Option{"-r", "--real-server", Word::server, Takes::one},
    Option{"-m", "--masquerading", Word::masq},
    Option{"-g", "--gatewaying", Word::gate},
    Option{"-i", "--ipip", Word::ipip},
    Option{"-l", "", Word::local},
    Option{"-w", "--weight", Word::weight, Takes::one},
    Option{"-x", "--u-threshold", Word::upper, Takes::one},
    Option{"-y", "--l-threshold", Word::lower, Takes::one},
    Option{"", "--tun-type", Word::tunnel_type, Takes::one},
    Option{"", "--tun-port", Word::tunnel_option, Takes::one},
    Option{"", "--tun-nocsum", Word::tunnel_option},
    Option{"", "--tun-csum", Word::tunnel_option},
    Option{"", "--tun-remcsum", Word::tunnel_option},
    Option{"-n", "--numeric", Word::numeric},
};

// The option by which a line says what a rule's pointer means.
struct Said {
    std::string_view pointer, option;
};
constexpr std::array said = {
    Said{"/address", "the address"}, Said{"/port", "the port"},
    Said{"/method", "-s"},           Said{"/flags", "-b"},
    Said{"/persistent", "-p"},       Said{"/netmask", "-M"},
    Said{"/weight", "-w"},           Said{"/upper-threshold", "-x"},
    Said{"/lower-threshold", "-y"},
};

std::vector<std::string_view> words_of(std::string_view line) {
    constexpr std::string_view blanks = " \t\r\f\v";
    std::vector<std::string_view> words;
    for (;;) {
        const size_t start = line.find_first_not_of(blanks);
        if (start == std::string_view::npos) return words;
        line.remove_prefix(start);
        const size_t end = std::min(line.find_first_of(blanks), line.size());
        words.push_back(line.substr(0, end));
        line.remove_prefix(end);
    }
}

std::optional<uint32_t> number(std::string_view text) {
    uint32_t value = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value);
    if (error != std::errc{} || end != last) return std::nullopt;
    return value;
}

// For sentences: a word of the line, but never a long one.
std::string quoted(std::string_view word) {
    return "\"" + std::string(word.substr(0, 60)) + "\"";
}

// "10.0.0.1:80", "[2001:db8::1]:80"; without a port `port` is nullopt.
struct Address {
    base::Ip ip;
    std::optional<uint16_t> port;
};
std::optional<Address> address_of(std::string_view text) {
    if (const auto both = base::Endpoint::parse(text)) return Address{both->ip, both->port};
    if (text.size() > 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
    if (const auto ip = base::Ip::parse(text)) return Address{*ip, std::nullopt};
    return std::nullopt;
}

class IpvsadmReader {
  public:
    base::Result<Config> read(std::string_view text) {
        while (!text.empty() && faults_.size() < max_faults) {
            ++number_;
            const size_t end = std::min(text.find('\n'), text.size());
            read_line(text.substr(0, end));
            text.remove_prefix(std::min(end + 1, text.size()));
        }
        if (!faults_.empty()) return base::fail(base::faults_error(std::move(faults_)));
        Config config;
        for (auto& [key, service] : services_) {
            std::sort(service.backends.begin(), service.backends.end(),
                      [](const Backend& a, const Backend& b) { return a.name < b.name; });
            config.services.push_back(std::move(service));
        }
        std::sort(config.services.begin(), config.services.end(),
                  [](const ConfigService& a, const ConfigService& b) { return a.spec.name < b.spec.name; });
        return config;
    }

  private:
    // What stands in one line, by option.
    using Given = std::map<Word, std::string_view>;

    void fault(std::string what) {
        if (faults_.size() < max_faults)
            faults_.push_back({"line " + std::to_string(number_), std::move(what)});
    }

    void faults(const std::vector<Fault>& violations) {
        for (const Fault& violation : violations) {
            const auto* at = std::find_if(said.begin(), said.end(),
                                          [&](const Said& s) { return s.pointer == violation.pointer; });
            fault((at == said.end() ? violation.pointer : std::string(at->option)) + " " + violation.what);
        }
    }

    void read_line(std::string_view line) {
        std::vector<std::string_view> words = words_of(line);
        if (words.empty() || words[0].front() == '#') return;
        if (words[0] == "ipvsadm" || words[0].ends_with("/ipvsadm")) words.erase(words.begin());
        Given given;
        if (!read_words(words, given)) return;
        const bool adds_service = given.contains(Word::add_service);
        if (adds_service == given.contains(Word::add_server)) {
            fault("must have one of -A (a virtual service) and -a (a server of it)");
            return;
        }
        const auto key = read_key(given);
        if (!key) return;
        if (adds_service) {
            add_service(*key, given);
        } else {
            add_server(*key, given);
        }
    }

    // False: a fault has been found.
    bool read_words(const std::vector<std::string_view>& words, Given& given) {
        for (size_t i = 0; i < words.size(); ++i) {
            std::string_view word = words[i], value;
            bool has_value = false;
            const auto* option = find_option(word);
            const size_t equals = word.find('=');
            if (!option && word.starts_with("--") && equals != std::string_view::npos) {
                option = find_option(word.substr(0, equals));
                value = word.substr(equals + 1);
                has_value = true;
            }
            if (!option || (has_value && option->takes == Takes::nothing)) {
                fault("has " + quoted(word) + ", which is none of the options that ipvsadm -Sn writes");
                return false;
            }
            const bool more = i + 1 < words.size();
            if (option->takes == Takes::one && !has_value) {
                if (!more) {
                    fault("ends where " + std::string(word) + " needs a value");
                    return false;
                }
                value = words[++i];
            } else if (option->takes == Takes::maybe && !has_value && more && words[i + 1].front() != '-') {
                value = words[++i];
            }
            if (option->word == Word::other_command) {
                fault("has the command " + quoted(word) +
                      "; a table is read from the commands -A and -a only");
                return false;
            }
            // The second of --tun-port and --tun-csum is the same word to us, and is refused below.
            if (!given.emplace(option->word, value).second && option->word != Word::tunnel_option) {
                fault("has " + std::string(word) + " twice");
                return false;
            }
        }
        return true;
    }

    static const Option* find_option(std::string_view word) {
        const auto* at = std::find_if(options.begin(), options.end(), [&](const Option& o) {
            return !word.empty() && (word == o.shorter || word == o.longer);
        });
        return at == options.end() ? nullptr : at;
    }

    std::optional<ServiceKey> read_key(const Given& given) {
        if (given.contains(Word::fwmark)) {
            fault("is of a firewall mark (-f), and gorb has no services by mark: use an address and a port");
            return std::nullopt;
        }
        if (given.contains(Word::sctp)) {
            fault("is of an SCTP service, and gorb has TCP and UDP only");
            return std::nullopt;
        }
        if (given.contains(Word::tcp) == given.contains(Word::udp)) {
            fault("must have one of -t and -u, with the service's address and port");
            return std::nullopt;
        }
        const bool tcp = given.contains(Word::tcp);
        const std::string_view text = given.at(tcp ? Word::tcp : Word::udp);
        const auto address = read_address(text);
        if (!address) return std::nullopt;
        return ServiceKey{tcp ? Protocol::tcp : Protocol::udp, {address->ip, address->port.value_or(0)}};
    }

    std::optional<Address> read_address(std::string_view text) {
        auto address = address_of(text);
        if (!address) {
            fault("has " + quoted(text) +
                  ", which must be a numeric address and port, such as 10.0.0.1:80 or [2001:db8::1]:80 "
                  "(ipvsadm -Sn, not -S, writes numbers)");
        }
        return address;
    }

    bool refuse(const Given& given, std::initializer_list<std::pair<Word, const char*>> words) {
        for (const auto& [word, what] : words) {
            if (!given.contains(word)) continue;
            fault(what);
            return true;
        }
        return false;
    }

    void add_service(const ServiceKey& key, const Given& given) {
        constexpr const char* of_server = "has an option of -a, not of -A";
        if (refuse(given, {{Word::engine, "has a persistence engine (--pe), which gorb has no word for"},
                           {Word::one_packet, "has one-packet scheduling (-o), which gorb has no word for"},
                           {Word::server, of_server},
                           {Word::masq, of_server},
                           {Word::gate, of_server},
                           {Word::ipip, of_server},
                           {Word::local, of_server},
                           {Word::weight, of_server},
                           {Word::upper, of_server},
                           {Word::lower, of_server},
                           {Word::tunnel_type, of_server},
                           {Word::tunnel_option, of_server}})) {
            refused_.insert(key);
            return;
        }
        Service s;
        s.key = key;
        s.name = std::string(protocol_text(key.protocol)) + "-" + key.vip.ip.text() + "-" +
                 std::to_string(key.vip.port);
        s.netmask = static_cast<uint8_t>(key.vip.ip.bits());
        s.scheduler = "wlc";  // ipvsadm's
        if (const auto at = given.find(Word::scheduler); at != given.end()) s.scheduler = at->second;
        const bool good = read_flags(given, s) && read_persistence(given, s);
        const std::vector<Fault> violations = good ? new_service_violations(s) : std::vector<Fault>();
        faults(violations);
        if (!services_.emplace(key, ConfigService{std::move(s), {}}).second)
            fault("adds the service " + key.text() + " again");
    }

    bool read_flags(const Given& given, Service& s) {
        const auto at = given.find(Word::flags);
        if (at == given.end()) return true;
        for (std::string_view left = at->second; !left.empty();) {
            const std::string_view flag = left.substr(0, left.find(','));
            left.remove_prefix(std::min(flag.size() + 1, left.size()));
            if (flag == "flag-1" || flag == s.scheduler + "-fallback") {
                s.flags |= flag_fallback;
            } else if (flag == "flag-2" || flag == s.scheduler + "-port") {
                s.flags |= flag_port;
            } else {
                fault(
                    "-b must be of sh-fallback, sh-port, mh-fallback and mh-port, as the scheduler is, not " +
                    quoted(flag));
                return false;
            }
        }
        return true;
    }

    bool read_persistence(const Given& given, Service& s) {
        if (const auto at = given.find(Word::persistent); at != given.end()) {
            const auto seconds =
                at->second.empty() ? std::optional<uint32_t>(plain_persistence_s) : number(at->second);
            if (!seconds || *seconds == 0) {
                fault("-p must be whole seconds from 1 to " + std::to_string(max_persistence_s));
                return false;
            }
            s.persistence_s = *seconds;
        }
        if (const auto at = given.find(Word::netmask); at != given.end()) {
            const auto prefix = prefix_of(at->second, s.key.vip.ip.v4());
            if (!prefix) {
                fault(s.key.vip.ip.v4() ? "-M must be a mask such as 255.255.255.0"
                                        : "-M must be a prefix length from 1 to 128");
                return false;
            }
            s.netmask = *prefix;
        }
        return true;
    }

    static std::optional<uint8_t> prefix_of(std::string_view text, bool v4) {
        const auto plain = number(text);
        if (plain && *plain >= 1 && *plain <= (v4 ? 32U : 128U)) return static_cast<uint8_t>(*plain);
        const auto prefix = v4 ? dotted_prefix(text) : std::nullopt;
        if (!prefix || *prefix < 1) return std::nullopt;
        return static_cast<uint8_t>(*prefix);
    }

    void add_server(const ServiceKey& key, const Given& given) {
        constexpr const char* of_service = "has an option of -A, not of -a";
        if (refuse(given, {{Word::local,
                            "has -l, the kernel's word for a server on this very host: say -m, -g or -i, as "
                            "it was asked for"},
                           {Word::scheduler, of_service},
                           {Word::persistent, of_service},
                           {Word::netmask, of_service},
                           {Word::engine, of_service},
                           {Word::one_packet, of_service},
                           {Word::flags, of_service}}))
            return;
        if (!given.contains(Word::server)) {
            fault("must have -r with the server's address");
            return;
        }
        const auto address = read_address(given.at(Word::server));
        if (!address) return;
        Backend b;
        b.address = {address->ip, address->port.value_or(key.vip.port)};
        b.name = b.address.ip.text() + "-" + std::to_string(b.address.port);
        b.pulses = pulses_for_found(key, b.address);
        if (!read_forwarding(given, b) || !read_number(given, Word::weight, "-w", 1, b.weight) ||
            !read_number(given, Word::upper, "-x", 0, b.upper_threshold) ||
            !read_number(given, Word::lower, "-y", 0, b.lower_threshold))
            return;
        const auto service = services_.find(key);
        if (service == services_.end() && refused_.contains(key)) return;  // which has been said
        if (service == services_.end()) {
            fault("adds a server to " + key.text() + ", which no line above it adds (-A)");
            return;
        }
        std::vector<Fault> violations = backend_violations(b);
        if (violations.empty()) violations = backend_in_service_violations(service->second.spec, b);
        faults(violations);
        if (!servers_.emplace(key, b.address).second) {
            fault("adds the server " + b.address.text() + " to " + key.text() + " again");
            return;
        }
        service->second.backends.push_back(std::move(b));
    }

    bool read_forwarding(const Given& given, Backend& b) {
        const size_t methods = given.count(Word::masq) + given.count(Word::gate) + given.count(Word::ipip);
        if (methods > 1) {
            fault("must have no more than one of -m, -g and -i");
            return false;
        }
        b.forwarding = Forwarding::dr;  // ipvsadm's default
        if (given.contains(Word::masq)) b.forwarding = Forwarding::nat;
        if (given.contains(Word::ipip)) b.forwarding = Forwarding::tunnel;
        const auto type = given.find(Word::tunnel_type);
        if (type != given.end() && type->second != "ipip") {
            fault("has a tunnel of type " + quoted(type->second) + "; gorb has ipip only");
            return false;
        }
        if (given.contains(Word::tunnel_option)) {
            fault("has options of tunnels of another type than ipip, which gorb has no word for");
            return false;
        }
        return true;
    }

    bool read_number(const Given& given, Word word, const char* option, uint32_t fallback, uint32_t& to) {
        to = fallback;
        const auto at = given.find(word);
        if (at == given.end()) return true;
        const auto value = number(at->second);
        if (!value) {
            fault(std::string(option) + " must be a whole number, not " + quoted(at->second));
            return false;
        }
        to = *value;
        return true;
    }

    size_t number_ = 0;  // of the line
    std::vector<Fault> faults_;
    std::map<ServiceKey, ConfigService> services_;
    std::set<ServiceKey> refused_;
    std::set<std::pair<ServiceKey, base::Endpoint>> servers_;
};

}  // namespace

base::Result<Config> read_ipvsadm(std::string_view text) {
    return IpvsadmReader().read(text);
}

}  // namespace gorb::model
