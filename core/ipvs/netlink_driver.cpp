#include "ipvs/netlink_driver.h"

#include <linux/ip_vs.h>
#include <netlink/msg.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "ipvs/forms.h"
#include "ipvs/module_loader.h"
#include "ipvs/netlink_channel.h"
#include "ipvs/readings.h"
#include "ipvs/refusal.h"
#include "ipvs/wire.h"

namespace gorb::ipvs {
namespace {

using Answer = NetlinkChannel::Answer;
constexpr std::string_view kernel_table = "the kernel";
// The kernel maps memory for each send above some KiB and unmaps it again, so fewer are quicker. The answers,
// if all of it is refused, take a part of the receive buffer.
constexpr size_t batch_bytes = 128 * 1024;
// A reading that others disturb is repeated this often, and not after this time, but at least once.
constexpr int dump_attempts = 30;
constexpr std::chrono::seconds dump_patience{2};
const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
constexpr uint32_t probe_mark = 0x676f7262;  // where the search for an unused firewall mark begins
constexpr uint32_t probe_marks = 16;

base::Error gone() {
    base::Error error;
    error.code = base::Errc::unavailable;
    error.os_error = ENOPROTOOPT;
    error.sentence = "the kernel's IPVS is gone: module ip_vs was unloaded";
    return error;
}

// The module was unloaded and is there again, under another number. Of what was sent nothing was done.
base::Error loaded_anew() {
    base::Error error;
    error.code = base::Errc::unavailable;
    error.os_error = ESTALE;
    error.sentence = "the kernel's IPVS comes and goes: module ip_vs was loaded anew";
    return error;
}

bool is_anew(const base::Result<NetlinkChannel::Outcome>& outcome) {
    return !outcome && outcome.error().os_error == ESTALE;
}

base::Error read_failed(const std::string& what, const Answer& answer) {
    base::Error error;
    error.os_error = answer.os_error;
    if (answer.os_error == EPERM || answer.os_error == EACCES) {
        error.code = base::Errc::forbidden;
        error.sentence = what +
                         ": CAP_NET_ADMIN is needed, for reading the IPVS table too: run as root, or give "
                         "the capability to the process";
    } else {
        error.code = base::Errc::unavailable;
        error.sentence = what + ": " + std::strerror(answer.os_error);
    }
    if (!answer.words.empty()) error.sentence += " (" + answer.words + ")";
    return error;
}

class NetlinkDriver final : public Driver {
  public:
    explicit NetlinkDriver(const NetlinkOptions& options) : options_(options) {}

    base::Status open() {
        if (auto ready = ensure(); !ready) return ready;
        auto answer = info();
        if (!answer) return base::fail(answer.error());
        return {};
    }

    base::Result<Info> info() override;
    base::Result<std::vector<ServiceRecord>> services() override;
    base::Result<std::optional<ServiceRecord>> service(const ServiceKey& key) override;
    base::Result<std::vector<DestRecord>> dests(const ServiceKey& key) override;
    std::vector<base::Status> apply(std::span<const Op> ops) override;
    base::Status flush() override;
    base::Result<std::vector<std::string>> probe_schedulers(std::span<const std::string_view> names) override;

  private:
    using OnData = NetlinkChannel::OnData;

    base::Status ensure();
    NlMsg request(uint8_t command, int flags) const {
        return NetlinkChannel::request(family_, command, IPVS_GENL_VERSION, flags);
    }
    base::Result<NetlinkChannel::Outcome> exchange(std::span<const NlMsg> requests,
                                                   const OnData& on_data = {});
    base::Result<NetlinkChannel::Outcome> checked(base::Result<NetlinkChannel::Outcome> outcome);
    base::Result<Answer> ask(const std::string& what, NlMsg msg, const OnData& on_data = {});
    template <class Record, class Make, class Read>
    base::Result<std::vector<Record>> dump(const std::string& what, Make&& make, Read&& read);

    size_t apply_batch(std::span<const Op> ops, std::span<base::Status> statuses, bool again = false);
    void settle(std::span<const Op> ops, std::span<base::Status> statuses,
                const std::vector<size_t>& unknown);
    base::Result<ServiceRecord> unused_mark();

    NetlinkOptions options_;
    std::unique_ptr<NetlinkChannel> channel_;
    uint16_t family_ = 0;
    std::optional<Forms> forms_;  // there when family_ is not 0
    std::vector<std::byte> send_;
    std::vector<std::byte> raw_;  // of a reading: the attributes of each message, aligned as netlink aligns
    std::vector<size_t> raw_ends_;
};

// The socket and the family's number, both got anew where they were lost.
base::Status NetlinkDriver::ensure() {
    if (!channel_) {
        auto channel = NetlinkChannel::open(options_.receive_buffer);
        if (!channel) return base::fail(channel.error());
        channel_ = std::move(*channel);
        family_ = 0;
    }
    if (family_ != 0) return {};
    auto family = channel_->family(IPVS_GENL_NAME);
    if (!family && family.error().code == base::Errc::not_found) {
        const auto loaded =
            options_.modprobe.empty() ? load_module("ip_vs") : load_module("ip_vs", options_.modprobe);
        family = channel_->family(IPVS_GENL_NAME);
        if (!family && family.error().code == base::Errc::not_found) {
            return base::fail(
                base::Errc::unavailable,
                "this kernel has no IPVS: module ip_vs is not loaded and could not be loaded (" +
                    (loaded ? "modprobe succeeded, and still there is none" : loaded.error().sentence) +
                    "); install a kernel that has it, or run modprobe ip_vs as root, or try the API "
                    "with --driver memory",
                ENOENT);
        }
    }
    if (!family) {
        channel_.reset();
        return base::fail(family.error());
    }
    family_ = *family;
    forms_.emplace(family_);
    return {};
}

base::Result<NetlinkChannel::Outcome> NetlinkDriver::exchange(std::span<const NlMsg> requests,
                                                              const OnData& on_data) {
    auto outcome = checked(channel_->exchange(requests, on_data));
    if (!is_anew(outcome)) return outcome;
    for (const NlMsg& msg : requests) nlmsg_hdr(msg.get())->nlmsg_type = family_;
    return checked(channel_->exchange(requests, on_data));
}

base::Result<NetlinkChannel::Outcome> NetlinkDriver::checked(base::Result<NetlinkChannel::Outcome> outcome) {
    if (!outcome) {
        channel_.reset();  // its state is not known any more; the next call gets a new one
        return outcome;
    }
    // A family that is gone answers ENOENT, as missing objects do.
    if (std::ranges::none_of(outcome->answers, [](const Answer& a) { return a.os_error == ENOENT; }))
        return outcome;
    const auto family = channel_->family(IPVS_GENL_NAME);
    if (family && *family == family_) return outcome;
    if (!family) {
        family_ = 0;
        return base::fail(gone());
    }
    family_ = *family;
    forms_.emplace(family_);
    return base::fail(loaded_anew());
}

// One request, one answer. Errors are those of the way; the kernel's is in the answer.
base::Result<Answer> NetlinkDriver::ask(const std::string& what, NlMsg msg, const OnData& on_data) {
    std::vector<NlMsg> requests;
    requests.push_back(std::move(msg));
    auto outcome = exchange(requests, on_data);
    if (!outcome) return base::fail(outcome.error());
    const Answer* answer = outcome->answer_to(0);
    if (!answer) return base::fail(base::Errc::unavailable, what + ": the kernel's answer was lost", ENOBUFS);
    return *answer;
}

base::Result<Info> NetlinkDriver::info() {
    const std::string what = "ask for the kernel's IPVS version";
    if (auto ready = ensure(); !ready) return base::fail(ready.error());
    base::Result<Info> info = base::fail(base::Errc::unavailable, what + ": no data");
    auto answer = ask(what, request(IPVS_CMD_GET_INFO, NLM_F_ACK),
                      [&info](std::span<const std::byte> attributes) { info = read_info(attributes); });
    if (!answer) return base::fail(answer.error());
    if (answer->os_error != 0) return base::fail(read_failed(what, *answer));
    return info;
}

// Reads a table until no object is missing that was there all the time.
template <class Record, class Make, class Read>
base::Result<std::vector<Record>> NetlinkDriver::dump(const std::string& what, Make&& make, Read&& read) {
    Readings<Record> readings(page_bytes);
    const auto deadline = std::chrono::steady_clock::now() + dump_patience;
    for (int attempt = 0; attempt < dump_attempts; ++attempt) {
        if (attempt > 1 && std::chrono::steady_clock::now() > deadline) break;
        std::vector<NlMsg> requests;
        requests.push_back(make());
        if (!requests[0])
            return base::fail(base::Errc::unavailable, what + ": no memory for a message", ENOMEM);
        // First all parts, then their meaning: the less time between two parts, the fewer changes between
        // them.
        raw_.clear();
        raw_ends_.clear();
        auto outcome = exchange(requests, [this](std::span<const std::byte> attributes) {
            raw_.insert(raw_.end(), attributes.begin(), attributes.end());
            raw_ends_.push_back(raw_.size());
            raw_.resize(NLMSG_ALIGN(raw_.size()));
        });
        if (!outcome) return base::fail(outcome.error());
        const Answer* answer = outcome->answer_to(0);
        const int os_error = answer ? answer->os_error : 0;
        if (!answer) {  // the kernel may think that this reading goes on: only a new socket ends it
            channel_.reset();
            if (auto ready = ensure(); !ready) return base::fail(ready.error());
        }
        if (os_error != 0 && os_error != EINTR) return base::fail(read_failed(what, *answer));
        if (outcome->interrupted || !answer || os_error == EINTR) {
            readings.disturbed();
            continue;
        }
        std::vector<Record> now;
        now.reserve(raw_ends_.size());
        size_t begin = 0;
        for (const size_t end : raw_ends_) {
            base::Result<Record> record = read(std::span<const std::byte>(raw_).subspan(begin, end - begin));
            begin = NLMSG_ALIGN(end);
            if (record) {
                now.push_back(std::move(*record));
            } else if (record.error().code != base::Errc::unsupported) {  // foreign, and no concern of ours
                return base::fail(record.error());
            }
        }
        if (auto all = readings.add(std::move(now), outcome->data_parts, outcome->largest_part))
            return std::move(*all);
    }
    return base::fail(base::Errc::unavailable, what + ": others change it faster than it can be read", EINTR);
}

base::Result<std::vector<ServiceRecord>> NetlinkDriver::services() {
    if (auto ready = ensure(); !ready) return base::fail(ready.error());
    return dump<ServiceRecord>(
        "read the kernel's virtual services", [this] { return request(IPVS_CMD_GET_SERVICE, NLM_F_DUMP); },
        [](std::span<const std::byte> attributes) { return read_service(attributes); });
}

base::Result<std::optional<ServiceRecord>> NetlinkDriver::service(const ServiceKey& key) {
    const std::string what = "read virtual service " + key.text();
    if (auto ready = ensure(); !ready) return base::fail(ready.error());
    NlMsg msg = request(IPVS_CMD_GET_SERVICE, NLM_F_ACK);
    if (!msg || !put_service_key(msg.get(), key)) {
        return base::fail(base::Errc::unavailable, what + ": no memory for a message", ENOMEM);
    }
    base::Result<ServiceRecord> record = base::fail(base::Errc::unavailable, what + ": no data");
    auto answer = ask(what, std::move(msg), [&record](std::span<const std::byte> attributes) {
        record = read_service(attributes);
    });
    if (!answer) return base::fail(answer.error());
    if (answer->os_error == ESRCH) return std::optional<ServiceRecord>{};
    if (answer->os_error != 0) return base::fail(read_failed(what, *answer));
    if (!record) return base::fail(record.error());
    return std::optional(std::move(*record));
}

base::Result<std::vector<DestRecord>> NetlinkDriver::dests(const ServiceKey& key) {
    const std::string what = "read the destinations of " + key.text();
    if (auto ready = ensure(); !ready) return base::fail(ready.error());
    auto found = dump<DestRecord>(
        what,
        [this, &key] {
            NlMsg msg = request(IPVS_CMD_GET_DEST, NLM_F_DUMP);
            if (msg && !put_service_key(msg.get(), key)) msg.reset();
            return msg;
        },
        [&key](std::span<const std::byte> attributes) { return read_dest(attributes, key.family); });
    if (!found || !found->empty()) return found;
    // The kernel shows a service that is not there as one without destinations.
    auto there = service(key);
    if (!there) return base::fail(there.error());
    if (!*there) return base::fail(base::Errc::not_found, "there is no virtual service " + key.text(), ESRCH);
    return found;
}

std::vector<base::Status> NetlinkDriver::apply(std::span<const Op> ops) {
    std::vector<base::Status> statuses(ops.size());
    const std::span<base::Status> all(statuses);
    for (size_t done = 0; done < ops.size();) done += apply_batch(ops.subspan(done), all.subspan(done));
    return statuses;
}

// Applies as many operations as go into one send, at least one. How many is the answer.
size_t NetlinkDriver::apply_batch(std::span<const Op> ops, std::span<base::Status> statuses, bool again) {
    const auto refuse = [&](size_t i, base::Error error) {
        error.sentence = ops[i].text() + ": " + error.sentence;
        statuses[i] = base::fail(std::move(error));
    };
    const size_t limit = std::min(ops.size(), std::max<size_t>(1, options_.batch));
    if (auto ready = ensure(); !ready) {
        for (size_t i = 0; i < limit; ++i) refuse(i, ready.error());
        return limit;
    }
    send_.clear();
    size_t taken = 0;
    for (; taken < limit && send_.size() < batch_bytes; ++taken) {
        const Op& op = ops[taken];
        const int wrong = unspeakable(op);
        if (wrong == 0 && forms_->append(send_, op)) continue;
        if (taken > 0) break;  // its turn comes after those before it
        statuses[0] =
            base::fail(wrong ? refusal(op, wrong, kernel_table) : refusal(op, ENOMEM, "this process"));
        return 1;
    }
    const auto outcome = checked(channel_->exchange_quietly(send_, taken));
    if (is_anew(outcome) && !again) return apply_batch(ops, statuses, true);
    if (!outcome) {
        for (size_t i = 0; i < taken; ++i) refuse(i, outcome.error());
        return taken;
    }
    for (const Answer& answer : outcome->answers) {
        if (answer.os_error == 0) continue;
        statuses[answer.request] =
            base::fail(refusal(ops[answer.request], answer.os_error, kernel_table, answer.words));
    }
    if (outcome->lost) {
        std::vector<size_t> unknown;
        for (size_t i = 0; i < taken; ++i) {
            if (!outcome->answer_to(i)) unknown.push_back(i);
        }
        settle(ops, statuses, unknown);
    }
    return taken;
}

// Answers were lost (ENOBUFS). What the table shows now decides: it holds what the operation wanted, or the
// operation is reported as failed. Nothing is tried again, because later operations of the batch have been
// done already.
void NetlinkDriver::settle(std::span<const Op> ops, std::span<base::Status> statuses,
                           const std::vector<size_t>& unknown) {
    std::unordered_map<std::string, base::Result<std::vector<DestRecord>>> lists;  // by ServiceKey::text()
    for (const size_t i : unknown) {
        const Op& op = ops[i];
        bool as_wanted = false;
        if (op.of_service()) {
            const auto now = service(op.service.key);
            if (now && op.kind == Op::Kind::remove_service) as_wanted = !*now;
            if (now && op.kind != Op::Kind::remove_service)
                as_wanted = *now && (*now)->same_settings(op.service);
        } else {
            const std::string name = op.service.key.text();
            if (!lists.contains(name)) lists.emplace(name, dests(op.service.key));
            if (const auto& now = lists.at(name)) {
                const auto found = std::find_if(now->begin(), now->end(), [&op](const DestRecord& d) {
                    return d.address == op.dest.address;
                });
                as_wanted = op.kind == Op::Kind::remove_dest
                                ? found == now->end()
                                : found != now->end() && found->same_settings(op.dest);
            }
        }
        if (as_wanted) continue;
        base::Error error;
        error.code = base::Errc::refused;
        error.os_error = ENOBUFS;
        error.sentence = op.text() + ": the kernel's answer was lost, and its table does not show the change";
        statuses[i] = base::fail(std::move(error));
    }
}

base::Status NetlinkDriver::flush() {
    const std::string what = "flush the kernel's IPVS table";
    if (auto ready = ensure(); !ready) return base::fail(ready.error());
    NlMsg msg = request(IPVS_CMD_FLUSH, NLM_F_ACK);
    if (!msg) return base::fail(base::Errc::unavailable, what + ": no memory for a message", ENOMEM);
    auto answer = ask(what, std::move(msg));
    if (!answer) return base::fail(answer.error());
    if (answer->os_error != 0) return base::fail(read_failed(what, *answer));
    return {};
}

// A firewall-mark service that is not in the table.
base::Result<ServiceRecord> NetlinkDriver::unused_mark() {
    ServiceRecord record;
    record.key.family = base::Ip::Family::v4;
    record.netmask = 32;
    for (uint32_t i = 0; i < probe_marks; ++i) {
        record.key.fwmark = probe_mark + i;
        auto used = service(record.key);
        if (!used) return base::fail(used.error());
        if (!*used) return record;
    }
    return base::fail(base::Errc::unavailable, "no unused firewall mark was found to try schedulers with");
}

base::Result<std::vector<std::string>> NetlinkDriver::probe_schedulers(
    std::span<const std::string_view> names) {
    auto record = unused_mark();
    if (!record) return base::fail(record.error());
    std::vector<std::string> accepted;
    base::Status trouble;
    for (const std::string_view name : names) {
        record->scheduler = name;
        // Both in one send: the kernel handles them in one system call, which no kill can cut in two.
        const std::vector<Op> ops = {Op::add(*record), Op::remove(record->key)};
        const auto statuses = apply(ops);
        if (statuses[0]) {
            if (!statuses[1]) trouble = statuses[1];
            accepted.emplace_back(name);
        } else if (statuses[0].error().code != base::Errc::unsupported) {
            trouble = statuses[0];
        }
        if (!trouble) break;
    }
    // Also after trouble (a lost answer, say): nothing stays behind.
    if (const auto left = service(record->key); left && *left) {
        const std::vector<Op> ops = {Op::remove(record->key)};
        if (const auto removed = apply(ops); !removed[0] && trouble) trouble = removed[0];
    }
    if (!trouble) return base::fail(trouble.error());
    return accepted;
}

}  // namespace

base::Result<std::unique_ptr<Driver>> open_netlink_driver(const NetlinkOptions& options) {
    auto driver = std::make_unique<NetlinkDriver>(options);
    if (auto opened = driver->open(); !opened) return base::fail(opened.error());
    return driver;
}

}  // namespace gorb::ipvs
