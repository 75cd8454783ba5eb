#include "rest/kernel_resource.h"

#include <linux/ip_vs.h>
#include <netinet/in.h>

#include <map>
#include <optional>
#include <set>

#include "base/clock.h"
#include "base/json.h"
#include "model/fields.h"
#include "model/pulse_codec.h"
#include "reconcile/plan.h"
#include "rest/error.h"

namespace gorb::rest {
namespace {

using reconcile::Entry;

std::string protocol_text(uint8_t protocol) {
    switch (protocol) {
        case IPPROTO_TCP:
            return "tcp";
        case IPPROTO_UDP:
            return "udp";
        case IPPROTO_SCTP:
            return "sctp";
        default:
            return "";
    }
}

std::string entry_text(const Entry& entry) {
    return entry.dest ? entry.dest->text() + " in " + entry.service.text() : entry.service.text();
}

void write_stats(base::JsonWriter& out, const ipvs::Stats& stats) {
    base::key(out, "stats");
    out.StartObject();
    base::member(out, "connections", stats.connections);
    base::member(out, "packets_in", stats.packets_in);
    base::member(out, "packets_out", stats.packets_out);
    base::member(out, "bytes_in", stats.bytes_in);
    base::member(out, "bytes_out", stats.bytes_out);
    out.EndObject();
}

constexpr char held_words[] =
    "too much of what the kernel has of gorb's would have gone with it at the start, so it stays: POST "
    "/reconcile?force=true removes it, and so does a start with --force";

// Who has made what.
class Owners {
  public:
    explicit Owners(const control::Ownership& whose) {
        for (const store::Leaving& entry : whose.leaving) leaving_.insert(control::entry_of(entry));
        for (const store::Leaving& entry : whose.held) held_.insert(control::entry_of(entry));
        whose.snapshot->services.for_each([&](const std::string&, const model::ServicePtr& service) {
            const auto protocol = static_cast<uint8_t>(service->spec.key.protocol);
            services_[ipvs::ServiceKey::of(protocol, service->spec.key.vip)] = service.get();
        });
    }

    struct Owner {
        std::string_view owner = "foreign";
        std::string name;   // in the desired state, "" for none
        bool held = false;  // leaving, and the guard keeps it
    };
    Owner of(const Entry& entry) const {
        const auto service = services_.find(entry.service);
        if (service != services_.end()) {
            if (!entry.dest) return {"gorb", service->second->spec.name};
            if (const auto* backend = service->second->by_address.find(*entry.dest))
                return {"gorb", (*backend)->spec.name};
        }
        const bool with_service = service == services_.end();
        if (within(leaving_, entry, with_service)) return {"leaving", "", within(held_, entry, with_service)};
        return {};
    }
    bool held(const Entry& entry) const { return held_.contains(entry); }
    const std::set<Entry>& leaving() const { return leaving_; }

    // What gorb has for it: while that is the same, no change is under way.
    struct State {
        uint64_t service = 0;  // its revision
        const model::BackendEntry* backend = nullptr;
        bool leaving = false;
        bool operator==(const State&) const = default;
    };
    State state_of(const Entry& entry) const {
        State state{.service = 0, .backend = nullptr, .leaving = within(leaving_, entry, true)};
        const auto service = services_.find(entry.service);
        if (service == services_.end()) return state;
        state.service = service->second->revision;
        if (!entry.dest) return state;
        if (const auto* backend = service->second->by_address.find(*entry.dest)) state.backend = *backend;
        return state;
    }

  private:
    static bool within(const std::set<Entry>& of, const Entry& entry, bool with_service) {
        return of.contains(entry) || (with_service && of.contains({entry.service, {}}));
    }

    std::map<ipvs::ServiceKey, const model::ServiceEntry*> services_;
    std::set<Entry> leaving_, held_;
};

// While the table was read, changes went on: what was gorb's before or is so after it is gorb's, and no
// difference is what was not the same then.
struct BothOwners {
    Owners before, after;
    const reconcile::Table* wanted_before;
    const reconcile::Table* wanted_after;

    Owners::Owner of(const Entry& entry) const {
        const Owners::Owner owner = after.of(entry);
        return owner.owner == "foreign" ? before.of(entry) : owner;
    }
    bool settled(const Entry& entry) const {
        return before.state_of(entry) == after.state_of(entry) &&
               weight(*wanted_before, entry) == weight(*wanted_after, entry);
    }

  private:
    // By its health as well; nullopt: no such destination.
    static std::optional<uint32_t> weight(const reconcile::Table& wanted, const Entry& entry) {
        const auto service = wanted.find(entry.service);
        if (!entry.dest || service == wanted.end()) return std::nullopt;
        const auto dest = service->second.dests.find(*entry.dest);
        return dest == service->second.dests.end() ? std::nullopt : std::optional(dest->second.weight);
    }
};

void write_owner(base::JsonWriter& out, const Owners::Owner& owner) {
    base::member(out, "owner", owner.owner);
    if (!owner.name.empty()) base::member(out, "name", owner.name);
    if (owner.held) base::member(out, "held", held_words);
}

void write_service(base::JsonWriter& out, const reconcile::TableService& service, const BothOwners& owners) {
    const ipvs::ServiceRecord& record = service.record;
    out.StartObject();
    write_owner(out, owners.of({record.key, {}}));
    if (record.key.fwmark != 0) {
        base::member(out, "fwmark", record.key.fwmark);
        base::member(out, "family", record.key.family == base::Ip::Family::v6 ? "ipv6" : "ipv4");
    } else {
        base::member(out, "address", record.key.vip.ip.text());
        base::member(out, "port", record.key.vip.port);
        base::member(out, "protocol", protocol_text(record.key.protocol));
    }
    base::member(out, "settings", reconcile::settings_text(record));
    write_stats(out, record.stats);
    base::key(out, "destinations");
    out.StartArray();
    for (const auto& [address, dest] : service.dests) {
        out.StartObject();
        write_owner(out, owners.of({record.key, address}));
        base::member(out, "address", address.ip.text());
        base::member(out, "port", address.port);
        base::member(out, "settings", reconcile::settings_text(dest));
        base::member(out, "weight", dest.weight);
        base::member(out, "active_connections", dest.active);
        base::member(out, "inactive_connections", dest.inactive);
        base::member(out, "persistent_connections", dest.persistent);
        write_stats(out, dest.stats);
        out.EndObject();
    }
    out.EndArray();
    out.EndObject();
}

// What is not as it should be now, and since when that is known.
void write_differences(base::JsonWriter& out, const reconcile::Plan& plan, const reconcile::Table& found,
                       const control::Ownership& whose, const BothOwners& owners) {
    std::map<Entry, int64_t> since;
    for (const control::Drift& drift : whose.drift) since[drift.entry] = drift.since_wall;
    base::key(out, "differences");
    out.StartArray();
    for (const ipvs::Op& op : plan.ops) {
        const reconcile::Entry entry = reconcile::entry_of(op);
        if (!owners.settled(entry)) continue;
        const auto [before, after] = reconcile::words_of(op, found);
        out.StartObject();
        base::member(out, "entry", entry_text(entry));
        base::member(out, "wanted", after.empty() ? "not there" : after);
        base::member(out, "found", before.empty() ? "not there" : before);
        base::member(out, "operation", op.text());
        base::key(out, "since");
        const auto seen = since.find(entry);
        if (seen == since.end()) {
            out.Null();  // not noticed yet by a look at the table
        } else {
            base::value(out, base::wall_text(seen->second));
        }
        if (owners.after.held(entry)) base::member(out, "held", held_words);
        out.EndObject();
    }
    out.EndArray();
}

}  // namespace

Response kernel_response(const control::Control& control, const KernelReading& reading,
                         const control::Ownership& after) {
    const reconcile::Table& table = reading.table;
    const Owners owns(after);
    std::set<Entry> leaving = owns.leaving();
    const reconcile::Table wanted = control.wanted(*after.snapshot, &leaving);
    const BothOwners owners{Owners(reading.before), owns, &reading.wanted, &wanted};
    const reconcile::Plan plan = reconcile::plan(wanted, table, leaving);
    Response response;
    response.body.reserve(1024 + 512 * table.size());
    base::StringSink sink(response.body);
    base::JsonWriter out(sink);
    out.StartObject();
    base::key(out, "services");
    out.StartArray();
    for (const auto& [key, service] : table) write_service(out, service, owners);
    out.EndArray();
    write_differences(out, plan, table, after, owners);
    out.EndObject();
    return response;
}

base::Result<control::Adopt> read_adopt(std::string_view body) {
    const auto object = base::parse_json_object(body);
    if (!object) return base::fail(object.error());
    std::vector<base::Fault> faults;
    base::ObjectReader doc(*object, "", faults);
    control::Adopt adopt;
    base::Endpoint vip;
    if (const auto ip = model::read_address(doc)) {
        vip.ip = *ip;
    } else if (!model::has_address(doc)) {
        doc.fault("address",
                  "is missing; it must be the address of a virtual service that GET /kernel lists");
    }
    if (const auto port = model::read_port(doc)) {
        vip.port = *port;
    } else if (!doc.has("port")) {
        doc.fault("port", "is missing; it must be a whole number from 0 to 65535");
    }
    auto protocol = model::Protocol::tcp;
    model::read_word(doc, "protocol", {model::Protocol::tcp, model::Protocol::udp}, model::protocol_text,
                     protocol);
    if (auto name = doc.text("name")) {
        if (const auto violation = model::name_violation(*name)) doc.fault("name", *violation);
        adopt.name = std::move(*name);
    }
    model::PulseList pulses;
    model::read_pulses(doc, model::Mode::create, pulses);
    for (base::Fault& fault : model::pulse_violations(pulses)) faults.push_back(std::move(fault));
    const bool said = doc.has("pulses") || (doc.has("pulse") && !model::is_null(doc, "pulse"));
    if (said) adopt.pulses = std::move(pulses);
    doc.finish();
    if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    adopt.key = ipvs::ServiceKey::of(static_cast<uint8_t>(protocol), vip);
    return adopt;
}

}  // namespace gorb::rest
