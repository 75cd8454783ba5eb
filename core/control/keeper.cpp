#include "control/keeper.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace gorb::control {
namespace {

// What is known of health after a power cut may be as old as this.
constexpr uint64_t health_period = base::second;
constexpr uint64_t longest_wait = 30 * base::second;
// A file that is lost while nothing is written to it would be missed at the next start only, with all that it
// held.
constexpr uint64_t file_period = 2 * base::second;

// Nothing but entries that have left: those come by the thousand.
bool only_confirms(const store::Write& write) {
    return !write.left.empty() && write.revision == 0 && write.drop_backends.empty() &&
           write.drop_services.empty() && write.put_services.empty() && write.put_backends.empty() &&
           write.health.empty() && write.leaving.empty() && write.vips_added.empty() &&
           write.vips_removed.empty();
}

}  // namespace

size_t Keeper::NameHash::operator()(const store::BackendName& name) const {
    return std::hash<std::string>{}(name.service) * 31 + std::hash<std::string>{}(name.backend);
}

Keeper::Keeper(std::unique_ptr<store::Database> database, const base::Clock& clock, Post post, All all)
    : database_(std::move(database)),
      clock_(&clock),
      post_(std::move(post)),
      all_(std::move(all)),
      file_at_(clock.now() + file_period) {}

Keeper::~Keeper() = default;

void Keeper::send(store::Write write, std::function<void(base::Status)> done) {
    ++in_flight_;
    database_->write(std::move(write), [this, done = std::move(done)](base::Status status) {
        post_([this, done, status = std::move(status)] {
            --in_flight_;
            if (!status) failed(status.error());
            if (status) failures_ = 0;
            done(status);
        });
    });
}

base::Result<store::Loaded> Keeper::load() {
    return database_ ? database_->load() : store::Loaded{};
}

void Keeper::write(store::Write write, std::function<void(base::Status)> done) {
    if (!database_) {
        done({});
        return;
    }
    const uint64_t now = clock_->now();
    // Those that come one after the other would keep the file from ever being made anew.
    if (must_rewrite(now)) {
        done(base::fail(base::Errc::unavailable,
                        "the store is about to be made anew from what is known: try again in a moment"));
        return;
    }
    if (!debts_.empty()) pay();
    // A change has no other health than that nothing is known of an address that is new.
    std::vector<store::BackendName> moved;
    for (const auto& [name, health] : write.health) {
        ++moving_[name];
        moved.push_back(name);
    }
    send(std::move(write),
         [this, moved = std::move(moved), done = std::move(done)](const base::Status& status) {
             for (const store::BackendName& name : moved) {
                 if (--moving_[name] == 0) moving_.erase(name);
                 if (status) forget_health(name);
             }
             // Written on top of what could not be taken back before it: taking that back now might undo this
             // one.
             if (status && in_arrears_) rewrite_at_ = clock_->now();
             done(status);
         });
}

base::Status Keeper::write_now(store::Write write) {
    if (!database_) return {};
    return store::write_now(*database_, std::move(write));
}

void Keeper::owe(store::Write write) {
    if (!database_ || write.empty()) return;
    const bool follows = !debts_.empty() && debts_.back().number == last_debt_;
    if (follows && only_confirms(debts_.back().write) && only_confirms(write)) {
        auto& left = debts_.back().write.left;
        left.insert(left.end(), write.left.begin(), write.left.end());
    } else {
        debts_.push_back({++last_debt_, std::move(write)});
    }
    if (debts_at_ == 0) debts_at_ = clock_->now();
}

void Keeper::owe_undo(store::Write write) {
    in_arrears_ = in_arrears_ || (database_ && !write.empty());
    owe(std::move(write));
}

void Keeper::owe_health(const store::BackendName& name, const store::Health& health) {
    if (!database_) return;
    health_.insert_or_assign(name, health);
    if (health_at_ == 0) health_at_ = clock_->now() + health_period;
}

void Keeper::forget_health(const store::BackendName& name) {
    health_.erase(name);
    health_sent_.erase(name);
}

void Keeper::send_health(uint64_t now) {
    health_at_ = 0;
    store::Write write;
    for (auto at = health_.begin(); at != health_.end();) {
        if (moving_.contains(at->first)) {
            health_at_ = now + health_period;
            ++at;
            continue;
        }
        write.health.emplace_back(at->first, at->second);
        health_sent_.insert(health_.extract(at++));
    }
    if (write.health.empty()) return;
    sending_health_ = true;
    send(std::move(write), [this](const base::Status& status) {
        sending_health_ = false;
        HealthMap sent = std::exchange(health_sent_, {});
        if (status) return;
        health_.merge(sent);  // what has become known since is newer
        health_at_ = clock_->now() + std::min(longest_wait, base::second << std::min(failures_, 5U));
    });
}

// A debt that can not be written comes back before all later ones. One of those that could is written again
// after it: it may have been said otherwise in the meantime.
void Keeper::pay() {
    ++paying_;
    debts_at_ = 0;
    const auto debts = std::make_shared<std::vector<Debt>>(std::exchange(debts_, {}));
    const auto open = std::make_shared<size_t>(debts->size());
    for (const Debt& debt : *debts) {
        send(debt.write, [this, debts, debt = &debt, open](const base::Status& status) {
            const bool too_early = !debts_.empty() && debts_.front().number < debt->number;
            if (!status || too_early) {
                in_arrears_ = true;
                debts_.insert(std::ranges::upper_bound(debts_, debt->number, {}, &Debt::number), *debt);
            }
            if (--*open > 0) return;
            --paying_;
            // Not by what was paid alone: more may have come to be owed, or be on its way again, meanwhile.
            if (debts_.empty() && paying_ == 0) in_arrears_ = false;
            if (!debts_.empty() && debts_at_ == 0) debts_at_ = clock_->now() + base::second;
        });
    }
}

void Keeper::failed(const base::Error& error) {
    if (failures_++ == 0) base::log_error("the store refused a change", {{"error", error.sentence}});
    want_rewrite();
}

void Keeper::want_rewrite() {
    if (database_->lost() && rewrite_at_ == 0 && !rewriting_) rewrite_at_ = clock_->now();
}

// The file is gone or damaged, and all there is to know is here.
void Keeper::rewrite() {
    rewriting_ = true;
    rewrite_at_ = 0;
    debts_.clear();
    debts_at_ = 0;
    in_arrears_ = false;
    base::log_error("the store is not what it should be: it is made anew from what is known",
                    {{"path", database_->status().path}});
    ++in_flight_;
    database_->rewrite(all_(), [this](base::Status status) {
        post_([this, status = std::move(status)] {
            --in_flight_;
            rewriting_ = false;
            if (status) {
                base::log_warning("the store has been made anew", {{"path", database_->status().path}});
                return;
            }
            base::log_error("the store can not be made anew, trying again",
                            {{"error", status.error().sentence}});
            rewrite_at_ = clock_->now() + std::min(longest_wait, base::second << std::min(failures_++, 5U));
        });
    });
}

void Keeper::look_at_file(uint64_t now) {
    if (looking_ || file_at_ > now) return;
    file_at_ = now + file_period;
    looking_ = true;
    ++in_flight_;
    database_->check_file([this](base::Status status) {
        post_([this, status = std::move(status)] {
            --in_flight_;
            looking_ = false;
            if (!status) want_rewrite();
        });
    });
}

void Keeper::look() {
    if (!database_) return;
    const uint64_t now = clock_->now();
    if (must_rewrite(now)) {
        if (in_flight_ == 0) rewrite();
        return;
    }
    if (rewriting_) return;
    look_at_file(now);
    if (debts_at_ != 0 && debts_at_ <= now && paying_ == 0) pay();
    if (health_at_ != 0 && health_at_ <= now && !sending_health_) send_health(now);
}

// As look() goes: what it leaves for later, or what an answer is waited for, wakes nobody.
uint64_t Keeper::next() const {
    if (!database_ || rewriting_) return 0;
    if (must_rewrite(clock_->now())) return in_flight_ == 0 ? rewrite_at_ : 0;
    const uint64_t debts = paying_ > 0 ? 0 : debts_at_;
    const uint64_t file = looking_ ? 0 : file_at_;
    const uint64_t health = sending_health_ ? 0 : health_at_;
    return base::earlier(base::earlier(rewrite_at_, file), base::earlier(debts, health));
}

void Keeper::settle() {
    if (debts_at_ != 0) debts_at_ = 1;
    if (health_at_ != 0) health_at_ = 1;
    file_at_ = 1;
    look();
}

StoreStatus Keeper::status() const {
    if (!database_) return {};
    return {true, database_->status(), database_->lost()};
}

}  // namespace gorb::control
