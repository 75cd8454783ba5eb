// backup(), check() and restore().
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include "store/opening.h"
#include "store/rows.h"

namespace gorb::store {
namespace {

using base::Errc;
using base::fail;
using base::Result;
using base::Status;

constexpr unsigned most_findings = 20;

// What is not whole is no copy of anything.
Status whole(Connection& file, const std::string& path) {
    const auto found = findings(file, path, 1);
    if (!found) return fail(found.error());
    if (found->empty()) return {};
    return fail(damaged(path, *found));
}

// The kernel entries that a state wants.
std::set<Leaving> wanted(const Loaded& all) {
    std::set<Leaving> out;
    for (const auto& service : all.services) {
        out.insert({service.spec.key, {}});
        for (const auto& backend : service.backends) out.insert({service.spec.key, backend.spec.address});
    }
    return out;
}

// What is known of the health of backends, by now: as the old state has it of the same address and the same
// questions. Who died since the copy was made is to get no traffic by it.
void add_health(const Loaded& old, const Loaded& restored, Write& write) {
    const auto find = [](const auto& rows, const std::string& name) {
        const auto at = std::ranges::lower_bound(
            rows, name, {}, [](const auto& row) -> const auto& { return row.spec.name; });
        return at == rows.end() || at->spec.name != name ? nullptr : &*at;
    };
    for (const Loaded::ServiceRow& service : restored.services) {
        const Loaded::ServiceRow* old_service = find(old.services, service.spec.name);
        if (!old_service) continue;
        for (const Loaded::BackendRow& backend : service.backends) {
            const Loaded::BackendRow* was = find(old_service->backends, backend.spec.name);
            if (!was || was->spec.address != backend.spec.address) continue;
            const Health health = was->spec.pulses.asks_as(backend.spec.pulses) ? was->health : Health{};
            if (health != backend.health)
                write.health.push_back({{service.spec.name, backend.spec.name}, health});
        }
    }
}

// What is gorb's own is what the old state says is: of that, what the restored one does not want is leaving.
// What the restored one says besides of entries and VIPs that are to go has gone since.
Write claims(const Loaded& old, const Loaded& restored) {
    std::set<Leaving> ours = wanted(old);
    ours.insert(old.leaving.begin(), old.leaving.end());
    Write write;
    std::ranges::set_difference(ours, wanted(restored), std::back_inserter(write.leaving));
    std::ranges::copy_if(restored.leaving, std::back_inserter(write.left),
                         [&](const Leaving& entry) { return !ours.contains(entry); });
    write.vips_added = old.vips;
    std::ranges::copy_if(restored.vips, std::back_inserter(write.vips_removed), [&](const base::Ip& vip) {
        return std::ranges::find(old.vips, vip) == old.vips.end();
    });
    return write;
}

// nullopt: there is none, or it can not be read.
std::optional<Loaded> read_old(const Paths& paths) {
    const auto database = look(paths.database);
    if (!database || !database->there) return {};
    const auto wal = look(paths.wal);
    auto file = open_to_read(paths.database, schema());
    if (!file) return {};                   // damaged, as may be why there is a restore
    file->keep_wal(!wal || wal->size > 0);  // it is kept as it is
    auto all = read_any(*file, paths.database.string(), schema());
    if (!all) return {};
    return std::move(*all);
}

// What must not be forgotten with the state that is replaced: which kernel entries and VIPs are gorb's own,
// the health of what stays, and its revision, so that an ETag is not used twice. Where the old state can not
// be read the copy gets another identity: no ETag of before is one of its own.
Status carry_over(const Paths& paths) {
    const std::optional<Loaded> old = read_old(paths);
    auto made = Connection::open(paths.made, SQLITE_OPEN_READWRITE);
    if (!made) return fail(std::move(made.error()));
    if (Status upgraded = upgrade(*made, paths.made.string(), schema()); !upgraded) return upgraded;
    auto restored = read_rows(*made, paths.made.string());
    if (!restored) return fail(std::move(restored.error()));
    RowWriter rows;
    int code = rows.prepare(*made);
    // In one transaction: thousands of rows would else be as many syncs.
    if (code == SQLITE_OK) code = made->exec("BEGIN");
    if (old) {
        Write write = claims(*old, *restored);
        add_health(*old, *restored, write);
        if (code == SQLITE_OK) code = rows.apply(write);
        if (code == SQLITE_OK) code = rows.raise_revision(old->revision + 1);
    } else if (code == SQLITE_OK) {
        code = rows.rename(new_identity());
    }
    if (code == SQLITE_OK) code = made->exec("COMMIT");
    if (code != SQLITE_OK) return fail(made->error(code, "can not write " + paths.made.string()));
    return {};
}

// `paths.made` from a copy.
Status make_from(const Paths& paths, const std::filesystem::path& from) {
    if (Status removed = remove_database(paths.made); !removed) return removed;
    {
        auto copy = open_to_read(from, schema());
        if (!copy) return fail(std::move(copy.error()));
        if (Status copied = copy_database(*copy, paths.made); !copied) return copied;
    }
    hand_over(paths.made);
    if (Status carried = carry_over(paths); !carried) return carried;
    return sync_file(paths.made);
}

}  // namespace

Status backup(const std::filesystem::path& directory, const std::filesystem::path& to) {
    const Paths paths(directory);
    const auto target = look(to);
    if (!target) return fail(target.error());
    if (target->there) return fail(Errc::exists, to.string() + " is there already; name another file");
    auto file = open_to_read(paths.database, schema());
    if (!file) return fail(std::move(file.error()));
    const auto part = with_suffix(to, ".part-" + std::to_string(::getpid()));
    Status done = remove_database(part);
    if (done) done = copy_database(*file, part);
    if (done) {
        auto copy = Connection::open(part, SQLITE_OPEN_READONLY);
        done = copy ? whole(*copy, paths.database.string()) : Status(fail(std::move(copy.error())));
    }
    if (done) done = rename_new(part, to);
    if (!done) {
        (void)remove_database(part);
        return done;
    }
    return sync_directory(to.parent_path());
}

Result<std::string> check(const std::filesystem::path& directory) {
    const Paths paths(directory);
    auto file = open_to_read(paths.database, schema());
    if (!file) {
        const Errc code = file.error().code;
        if (code == Errc::io || code == Errc::unsupported) return file.error().sentence;
        return fail(std::move(file.error()));
    }
    auto found = findings(*file, paths.database.string(), most_findings);
    if (!found || found->empty()) return found;
    return damaged(paths.database.string(), *found).sentence;
}

Status restore(const std::filesystem::path& directory, const std::filesystem::path& from) {
    const Paths paths(directory);
    {
        auto copy = open_to_read(from, schema());
        if (!copy) return fail(std::move(copy.error()));
        if (Status good = whole(*copy, from.string()); !good) return good;
    }
    if (Status made = make_directory(directory); !made) return made;
    const auto lock = Lock::take(paths.lock);
    if (!lock) return fail(lock.error());
    const auto next = look(paths.next);
    if (!next) return fail(next.error());
    if (next->there) {
        if (Status ended = finish_replacing(paths, "replaced"); !ended) return ended;
    }
    if (Status made = make_from(paths, from); !made) {
        (void)remove_database(paths.made);
        return made;
    }
    return replace_database(paths, "before-restore");
}

}  // namespace gorb::store
