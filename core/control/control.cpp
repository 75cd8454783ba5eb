#include "control/control.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/inbox.h"
#include "control/prepare.h"
#include "control/slots.h"
#include "control/vip_users.h"
#include "reconcile/applier.h"
#include "reconcile/records.h"
#include "store/store.h"

namespace gorb::control {

using base::Errc;
using base::Result;
using ipvs::Op;

namespace {

// Names of schedulers that kernels are known to have (Documentation of ip_vs and net/netfilter/ipvs/Kconfig);
// which of them this kernel has, it is asked.
constexpr std::array<std::string_view, 14> known_schedulers = {
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"};
constexpr uint64_t second = 1'000'000'000;
constexpr uint64_t longest_retry = 60 * second;
constexpr size_t batch_limit = 512;

// One line about a change, with the fields that it has.
void log_change(base::LogLevel level, std::string_view message, const Prepared& about,
                const std::string& error = {}) {
    std::vector<base::LogField> fields{{"service", about.service}};
    if (!about.backend.empty()) fields.push_back({"backend", about.backend});
    if (!error.empty()) fields.push_back({"error", error});
    base::log(level, message, fields);
}

std::string run_tag() {
    constexpr char digits[] = "0123456789abcdef";
    std::random_device random;
    std::string tag;
    for (int i = 0; i < 8; ++i) tag += digits[random() % 16];
    return tag;
}

}  // namespace

struct Control::Impl {
    Impl(std::unique_ptr<ipvs::Driver> d, std::unique_ptr<ipvs::VipTable> v, const plugin::Registry& r,
         Options o)
        : driver(std::move(d)),
          applier(*driver),
          vips(std::move(v)),
          registry(r),
          options(o),
          run(run_tag()) {
        if (auto found = driver->info()) info = *found;
    }

    void loop();
    void apply_changes(std::vector<Submitted>& changes);
    size_t apply_batch(std::span<Submitted> changes);
    void apply_health(const std::unordered_map<model::BackendId, health::Changed>& changes);
    void set_weights(const std::vector<model::BackendId>& ids);
    void restore_destinations(const std::string& service);
    Outcome finish(Prepared& prepared, const reconcile::Applied& applied);
    Outcome outcome(const Prepared& prepared, bool changed) const;
    void answer_schedulers(const std::function<void(Result<std::vector<std::string>>)>& done);
    ipvs::ServiceRecord record_of(const model::Service& service) const;

    std::unique_ptr<ipvs::Driver> driver;
    reconcile::Applier applier;
    VipUsers vips;
    const plugin::Registry& registry;
    const Options options;
    const std::string run;
    ipvs::Info info;
    health::Engine* engine = nullptr;
    base::SystemClock clock;

    store::Store store;
    Slots slots;
    Inbox inbox;
    std::unordered_map<std::string, ipvs::ServiceRecord> service_records;  // as the kernel has them
    std::optional<std::vector<std::string>> schedulers;
    model::BackendId last_id = 0;
    std::atomic<uint64_t> busy_since{0};
    std::thread thread;
};

void Control::Impl::loop() {
    for (;;) {
        busy_since = 0;
        Inbox::Content content = inbox.take(slots.next_retry(), clock.now());
        busy_since = clock.now();
        for (const auto& question : content.questions) question();
        if (!content.health.empty()) apply_health(content.health);
        if (!content.changes.empty()) apply_changes(content.changes);
        if (auto due = slots.due(clock.now()); !due.empty()) set_weights(due);
        if (content.closed) break;
    }
    if (options.release_on_exit) {
        if (auto released = applier.release(); !released) {
            base::log_error("not everything could be removed from the kernel",
                            {{"error", released.error().sentence}});
        } else {
            base::log_info("removed from the kernel what this daemon made");
        }
        vips.release_all();
    }
    busy_since = 0;
}

ipvs::ServiceRecord Control::Impl::record_of(const model::Service& service) const {
    ipvs::ServiceRecord record = reconcile::service_record(service);
    auto it = service_records.find(service.name);
    return it == service_records.end() ? record : reconcile::keeping(std::move(record), it->second);
}

void Control::Impl::apply_changes(std::vector<Submitted>& changes) {
    std::span<Submitted> rest(changes);
    while (!rest.empty()) rest = rest.subspan(apply_batch(rest));
}

// Applies as many of the first changes together as do not touch each other, and says how many those were.
size_t Control::Impl::apply_batch(std::span<Submitted> changes) {
    const model::SnapshotPtr now = store.snapshot();
    const Present present{
        *now,
        registry,
        [this](uint64_t revision) { return run + "-" + std::to_string(revision); },
        [this](model::BackendId id) { return slots.find(id); },
        [this](const model::Service& service) { return record_of(service); },
        [this] { return ++last_id; },
    };

    struct Pending {
        Submitted* submitted;
        Prepared prepared;
    };
    std::vector<Pending> pending;
    std::vector<reconcile::Transaction> transactions;
    std::set<std::string> names;
    std::set<model::ServiceKey> keys;
    size_t taken = 0;
    for (Submitted& submitted : changes.first(std::min(changes.size(), batch_limit))) {
        if (names.contains(service_name(submitted.change))) break;
        if (const auto* put = std::get_if<PutService>(&submitted.change)) {
            const std::string* owner = now->by_key.find(put->service.key);
            if (keys.contains(put->service.key) || (owner && names.contains(*owner))) break;
            keys.insert(put->service.key);
        }
        names.insert(service_name(submitted.change));
        ++taken;
        auto prepared = prepare(submitted.change, present);
        if (!prepared) {
            submitted.done(base::fail(prepared.error()));
            continue;
        }
        if (!prepared->changed) {
            submitted.done(outcome(*prepared, false));
            continue;
        }
        if (prepared->vip_acquire) {
            if (auto added = vips.acquire(*prepared->vip_acquire); !added) {
                submitted.done(base::fail(added.error()));
                continue;
            }
        }
        transactions.push_back(prepared->transaction);
        pending.push_back({&submitted, std::move(*prepared)});
    }

    std::vector<Result<reconcile::Applied>> applied = applier.apply(transactions);
    for (size_t i = 0; i < pending.size(); ++i) {
        Prepared& prepared = pending[i].prepared;
        if (applied[i]) {
            pending[i].submitted->done(finish(prepared, *applied[i]));
            if (applied[i]->service_was_missing) restore_destinations(prepared.service);
            continue;
        }
        if (prepared.vip_acquire) vips.release(*prepared.vip_acquire);
        log_change(base::LogLevel::warning, "a change was refused", prepared, applied[i].error().sentence);
        pending[i].submitted->done(base::fail(applied[i].error()));
    }
    return taken;
}

// The kernel has it: the state follows, and the health engine.
Outcome Control::Impl::finish(Prepared& prepared, const reconcile::Applied& applied) {
    Outcome result;
    if (prepared.deletion) result = outcome(prepared, true);  // the object as it was
    // The slot first: who sees the backend in the state also sees its weight.
    if (prepared.slot) {
        auto& [id, slot] = *prepared.slot;
        if (!applied.dests.empty()) slot.record = applied.dests.back();
        if (slot.state == health::State::unknown) slot.before = slot.record.weight;
        slot.not_applied.clear();
        slot.attempts = 0;
        slot.retry_at = 0;
        slots.put(id, std::move(slot));
    }
    const model::SnapshotPtr next = store.commit(prepared.commit(*store.snapshot()));

    if (prepared.vip_release) vips.release(*prepared.vip_release);
    if (applied.service) service_records[prepared.service] = *applied.service;
    if (prepared.deletion && prepared.backend.empty()) service_records.erase(prepared.service);
    for (const model::BackendId id : prepared.forget) {
        slots.erase(id);
        if (engine) engine->remove(id);
    }
    if (prepared.check && engine) engine->put(std::move(*prepared.check));
    if (!prepared.deletion) result = outcome(prepared, true);
    result.snapshot = next;
    log_change(base::LogLevel::info, prepared.log, prepared);
    return result;
}

Outcome Control::Impl::outcome(const Prepared& prepared, bool changed) const {
    Outcome result;
    result.snapshot = store.snapshot();
    result.changed = changed;
    if (const auto* service = result.snapshot->services.find(prepared.service)) {
        result.service = *service;
        if (const auto* backend = (*service)->backends.find(prepared.backend)) result.backend = *backend;
    }
    return result;
}

void Control::Impl::apply_health(const std::unordered_map<model::BackendId, health::Changed>& changes) {
    std::vector<model::BackendId> ids;
    for (const auto& [id, change] : changes) {
        Slot* slot = slots.find(id);
        if (!slot) continue;  // removed in the meantime
        slot->state = change.state;
        slot->share = change.share;
        slot->reason = change.reason;
        if (change.state != health::State::unknown) slot->before = 0;
        ids.push_back(id);
    }
    set_weights(ids);
}

// Gives each of these backends the weight it should have, in one batch. What the kernel refuses is tried
// again later.
void Control::Impl::set_weights(const std::vector<model::BackendId>& ids) {
    const model::SnapshotPtr now = store.snapshot();
    std::vector<model::BackendId> changed;
    std::vector<reconcile::Transaction> transactions;
    for (const model::BackendId id : ids) {
        Slot& slot = *slots.find(id);
        ipvs::DestRecord wanted = slot.record;
        wanted.weight = wanted_weight(slot).effective;
        if (wanted.same_settings(slot.record) && slot.not_applied.empty()) {
            slots.publish(id);
            continue;
        }
        const auto* service = now->services.find(slot.service);
        GORB_CHECK(service != nullptr);
        reconcile::Transaction transaction;
        transaction.make.push_back(Op{Op::Kind::edit_dest, record_of((*service)->spec), wanted});
        transactions.push_back(std::move(transaction));
        changed.push_back(id);
    }

    const auto applied = applier.apply(transactions);
    std::set<std::string> incomplete;
    for (size_t i = 0; i < changed.size(); ++i) {
        Slot& slot = *slots.find(changed[i]);
        if (applied[i]) {
            slot.record = applied[i]->dests.back();
            slot.not_applied.clear();
            slot.attempts = 0;
            slot.retry_at = 0;
            std::vector<base::LogField> fields{{"service", slot.service},
                                               {"backend", slot.backend},
                                               {"weight", std::to_string(slot.record.weight)},
                                               {"configured", std::to_string(slot.configured)}};
            if (std::string why = wanted_weight(slot).why; !why.empty())
                fields.push_back({"why", std::move(why)});
            base::log(base::LogLevel::info, "weight set", fields);
            if (applied[i]->service_was_missing) incomplete.insert(slot.service);
        } else {
            slot.not_applied = applied[i].error().sentence;
            slot.retry_at =
                clock.now() + std::min(longest_retry, second << std::min<uint32_t>(slot.attempts, 6));
            if (slot.attempts++ == 0) {
                base::log_error(
                    "weight could not be set, trying again",
                    {{"service", slot.service}, {"backend", slot.backend}, {"error", slot.not_applied}});
            }
        }
        slots.publish(changed[i]);
    }
    for (const std::string& service : incomplete) restore_destinations(service);
}

// Somebody removed a service of ours and it has just been put back: its other destinations go back too.
void Control::Impl::restore_destinations(const std::string& name) {
    const model::SnapshotPtr now = store.snapshot();
    const auto* service = now->services.find(name);
    if (!service) return;
    std::vector<model::BackendId> ids;
    std::vector<reconcile::Transaction> transactions;
    (*service)->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        reconcile::Transaction transaction;
        transaction.make.push_back(
            Op{Op::Kind::add_dest, record_of((*service)->spec), slots.find(backend->id)->record});
        transactions.push_back(std::move(transaction));
        ids.push_back(backend->id);
    });
    const auto applied = applier.apply(transactions);
    for (size_t i = 0; i < ids.size(); ++i) {
        if (applied[i]) continue;
        Slot& slot = *slots.find(ids[i]);
        slot.not_applied = applied[i].error().sentence;
        slot.retry_at = clock.now() + second;
        slots.publish(ids[i]);
    }
}

void Control::Impl::answer_schedulers(const std::function<void(Result<std::vector<std::string>>)>& done) {
    if (!schedulers) {
        auto probed = driver->probe_schedulers(known_schedulers);
        if (!probed) {
            done(base::fail(probed.error()));
            return;
        }
        schedulers = std::move(*probed);
    }
    done(*schedulers);
}

// ---- the public face

Control::Control(std::unique_ptr<ipvs::Driver> driver, std::unique_ptr<ipvs::VipTable> vips,
                 const plugin::Registry& registry, Options options)
    : impl_(std::make_unique<Impl>(std::move(driver), std::move(vips), registry, options)) {}

Control::~Control() {
    stop();
}

void Control::connect(health::Engine& engine) {
    impl_->engine = &engine;
}

void Control::start() {
    impl_->thread = std::thread([impl = impl_.get()] {
        pthread_setname_np(pthread_self(), "control");
        impl->loop();
    });
}

void Control::stop() {
    impl_->inbox.close();
    if (impl_->thread.joinable()) impl_->thread.join();
}

void Control::submit(Change change, const Done& done) {
    if (!impl_->inbox.put(Submitted{std::move(change), done})) {
        done(base::fail(Errc::unavailable, "gorbd is stopping and takes no more changes"));
    }
}

void Control::health_changed(std::span<const health::Changed> changes) {
    impl_->inbox.put(changes);
}

model::SnapshotPtr Control::snapshot() const {
    return impl_->store.snapshot();
}

std::string Control::etag(uint64_t revision) const {
    return impl_->run + "-" + std::to_string(revision);
}

EffectiveWeight Control::weight_of(const model::BackendEntry& backend) const {
    return impl_->slots.published(backend.id);
}

std::optional<health::View> Control::health_of(const model::BackendEntry& backend) const {
    return impl_->engine ? impl_->engine->read(backend.id) : std::nullopt;
}

const ipvs::Info& Control::driver_info() const {
    return impl_->info;
}

void Control::schedulers(const std::function<void(Result<std::vector<std::string>>)>& done) {
    if (!impl_->inbox.put([impl = impl_.get(), done] { impl->answer_schedulers(done); })) {
        done(base::fail(Errc::unavailable, "gorbd is stopping"));
    }
}

uint64_t Control::busy_since() const {
    return impl_->busy_since;
}

}  // namespace gorb::control
