// The statements that write.
#include "store/rows.h"

#include <algorithm>
#include <cstdio>
#include <random>

#include "base/json.h"
#include "model/codec.h"
#include "store/row_sum.h"

namespace gorb::store {
namespace {

int64_t integer(uint64_t value) {
    return static_cast<int64_t>(value);
}

template <class T>
void write_settings(std::string& to, const T& object, void (*write)(base::JsonWriter&, const T&)) {
    to.clear();
    base::StringSink sink(to);
    base::JsonWriter writer(sink);
    write(writer, object);
}

std::string backend_text(const Leaving& leaving) {
    return leaving.backend ? leaving.backend->text() : std::string();
}

}  // namespace

int RowWriter::prepare(Connection& file) {
    const struct {
        Statement* to;
        const char* sql;
    } all[] = {
        {&put_service_,
         "INSERT INTO service (name, revision, origin, deleting, address, settings, crc) VALUES (?, ?, ?, ?, "
         "?, ?, ?) ON CONFLICT DO UPDATE SET revision = excluded.revision, origin = excluded.origin, "
         "deleting "
         "= excluded.deleting, address = excluded.address, settings = excluded.settings, crc = excluded.crc"},
        {&put_backend_,
         "INSERT INTO backend (service, name, revision, address, settings, crc, drain) VALUES (?, ?, ?, ?, "
         "?, "
         "?, ?) ON CONFLICT DO UPDATE SET revision = excluded.revision, address = excluded.address, settings "
         "= excluded.settings, crc = excluded.crc, drain = excluded.drain"},
        {&put_health_,
         // Of a backend that went meanwhile nothing is kept.
         "INSERT INTO health (service, backend, state, since, back, crc, share) SELECT ?1, ?2, ?3, ?4, ?5, "
         "?6, ?7 WHERE "
         "EXISTS (SELECT 1 FROM backend WHERE service = ?1 AND name = ?2) ON "
         "CONFLICT "
         "DO UPDATE SET state = excluded.state, since = excluded.since, back = excluded.back, crc = "
         "excluded.crc, share = excluded.share"},
        {&put_leaving_,
         "INSERT INTO leaving (service, backend, crc, granted) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
         "crc = excluded.crc, granted = excluded.granted"},
        {&put_vip_,
         "INSERT INTO vip (address, crc) VALUES (?, ?) ON CONFLICT DO UPDATE SET crc = excluded.crc"},
        {&drop_service_, "DELETE FROM service WHERE name = ?"},
        {&drop_backend_, "DELETE FROM backend WHERE service = ? AND name = ?"},
        {&drop_leaving_, "DELETE FROM leaving WHERE service = ? AND backend = ?"},
        {&drop_vip_, "DELETE FROM vip WHERE address = ?"},
        {&get_meta_, "SELECT identity, revision, refused FROM meta"},
        {&set_meta_,
         "INSERT INTO meta (one, identity, revision, refused, crc) VALUES (1, ?, ?, ?, ?) ON CONFLICT DO "
         "UPDATE "
         "SET identity = excluded.identity, revision = excluded.revision, refused = excluded.refused, crc = "
         "excluded.crc"},
    };
    for (const auto& one : all) {
        if (const int code = file.prepare(one.sql, *one.to); code != SQLITE_OK) return code;
    }
    return SQLITE_OK;
}

int RowWriter::put(const model::Service& service, uint64_t revision, model::Origin origin) {
    write_settings(settings_, service, model::write_service_settings);
    const std::string address = service.key.text();
    const int64_t from = static_cast<int64_t>(origin), deleting = service.deleting ? 1 : 0;
    RowSum sum = RowSum().add(service.name).add(integer(revision)).add(from).add(deleting).add(address);
    bytes_ += settings_.size() + service.name.size() + 64;
    put_service_.bind(1, service.name).bind(2, integer(revision)).bind(3, from).bind(4, deleting);
    put_service_.bind(5, address).bind(6, settings_).bind(7, sum.value(crc_of(settings_)));
    return put_service_.run();
}

int RowWriter::put(const std::string& service, const model::Backend& backend, uint64_t revision,
                   int64_t drain_since) {
    write_settings(settings_, backend, model::write_backend_settings);
    const std::string address = backend.address.text();
    RowSum sum =
        RowSum().add(service).add(backend.name).add(integer(revision)).add(address).add_later(drain_since);
    bytes_ += settings_.size() + service.size() + backend.name.size() + 64;
    put_backend_.bind(1, service).bind(2, backend.name).bind(3, integer(revision));
    put_backend_.bind(4, address).bind(5, settings_).bind(6, sum.value(crc_of(settings_)));
    put_backend_.bind(7, drain_since);
    return put_backend_.run();
}

int RowWriter::put(const std::string& service, const std::string& backend, const Health& health) {
    const auto state = static_cast<int64_t>(health.state);
    RowSum sum = RowSum().add(service).add(backend).add(state).add(health.since).add(health.back);
    sum.add_later(100 - health.share);
    bytes_ += service.size() + backend.size() + 64;
    put_health_.bind(1, service).bind(2, backend).bind(3, state).bind(4, health.since);
    put_health_.bind(5, health.back).bind(6, sum.value()).bind(7, int64_t{health.share});
    return put_health_.run();
}

int RowWriter::put(const Leaving& leaving) {
    const std::string service = leaving.service.text(), backend = backend_text(leaving);
    bytes_ += 128;
    const int64_t granted = leaving.granted ? 1 : 0;
    put_leaving_.bind(1, service).bind(2, backend).bind(4, granted);
    put_leaving_.bind(3, RowSum().add(service).add(backend).add_later(granted).value());
    return put_leaving_.run();
}

int RowWriter::put(const base::Ip& vip) {
    const std::string address = vip.text();
    bytes_ += 64;
    return put_vip_.bind(1, address).bind(2, RowSum().add(address).value()).run();
}

// ---- meta

int RowWriter::read_meta(Meta& meta) {
    int code = get_meta_.step();
    if (code == SQLITE_ROW) {
        meta = {std::string(get_meta_.text(0)), static_cast<uint64_t>(get_meta_.integer(1)),
                static_cast<uint64_t>(get_meta_.integer(2))};
        code = SQLITE_OK;
    } else if (code == SQLITE_DONE) {
        code = SQLITE_CORRUPT;  // make_tables() and put_all() leave one row
    }
    get_meta_.reset();
    return code;
}

int RowWriter::write_meta(const Meta& meta) {
    RowSum sum = RowSum().add(meta.identity).add(integer(meta.revision)).add(integer(meta.refused));
    set_meta_.bind(1, meta.identity).bind(2, integer(meta.revision)).bind(3, integer(meta.refused));
    return set_meta_.bind(4, sum.value()).run();
}

int RowWriter::raise_revision(uint64_t revision) {
    if (revision == 0) return SQLITE_OK;
    Meta meta;
    if (const int code = read_meta(meta); code != SQLITE_OK) return code;
    if (meta.revision >= revision) return SQLITE_OK;
    meta.revision = revision;
    return write_meta(meta);
}

int RowWriter::rename(const std::string& identity) {
    Meta meta;
    if (const int code = read_meta(meta); code != SQLITE_OK) return code;
    meta.identity = identity;
    return write_meta(meta);
}

int RowWriter::count_refused() {
    Meta meta;
    if (const int code = read_meta(meta); code != SQLITE_OK) return code;
    ++meta.refused;
    return write_meta(meta);
}

// ---- the whole

int RowWriter::apply(const Write& w) {
    int code = SQLITE_OK;
    // Runs `put` for each of them until one fails.
    const auto each = [&code](const auto& all, auto&& put) {
        for (const auto& one : all) {
            if (code != SQLITE_OK) return;
            code = put(one);
        }
    };
    each(w.drop_backends,
         [this](const BackendName& n) { return drop_backend_.bind(1, n.service).bind(2, n.backend).run(); });
    each(w.drop_services, [this](const std::string& name) { return drop_service_.bind(1, name).run(); });
    each(w.put_services, [this](const model::ServicePtr& s) { return put(s->spec, s->revision, s->origin); });
    each(w.put_backends, [this](const auto& of) {
        return put(of.first, of.second->spec, of.second->revision, of.second->drain_since);
    });
    each(w.health, [this](const auto& of) { return put(of.first.service, of.first.backend, of.second); });
    each(w.leaving, [this](const Leaving& l) { return put(l); });
    each(w.left, [this](const Leaving& l) {
        const std::string service = l.service.text(), backend = backend_text(l);
        return drop_leaving_.bind(1, service).bind(2, backend).run();
    });
    each(w.vips_added, [this](const base::Ip& ip) { return put(ip); });
    each(w.vips_removed, [this](const base::Ip& ip) {
        const std::string address = ip.text();
        return drop_vip_.bind(1, address).run();
    });
    return code;
}

int RowWriter::put_all(const Loaded& all) {
    int code = write_meta({all.identity, all.revision, 0});
    // put(service, backend) for each; one table after the other, in the order of its key: it only grows at
    // its end.
    const auto each_backend = [&](auto&& put_one) {
        for (const auto& service : all.services) {
            for (const auto& backend : service.backends) {
                if (code == SQLITE_OK) code = put_one(service.spec.name, backend);
            }
        }
    };
    for (const auto& service : all.services) {
        if (code == SQLITE_OK) code = put(service.spec, service.revision, service.origin);
    }
    each_backend([this](const std::string& service, const Loaded::BackendRow& backend) {
        return put(service, backend.spec, backend.revision, backend.drain_since);
    });
    each_backend([this](const std::string& service, const Loaded::BackendRow& backend) {
        return backend.health == Health{} ? SQLITE_OK : put(service, backend.spec.name, backend.health);
    });
    for (const Leaving& leaving : all.leaving) {
        if (code == SQLITE_OK) code = put(leaving);
    }
    for (const base::Ip& vip : all.vips) {
        if (code == SQLITE_OK) code = put(vip);
    }
    return code;
}

size_t RowWriter::taken_bytes() {
    return std::exchange(bytes_, 0);
}

std::string new_identity() {
    std::random_device device;
    char text[9];
    (void)snprintf(text, sizeof text, "%08x", static_cast<unsigned>(device()));
    return text;
}

size_t Write::rows() const {
    return drop_backends.size() + drop_services.size() + put_services.size() + put_backends.size() +
           health.size() + leaving.size() + left.size() + vips_added.size() + vips_removed.size();
}

bool Write::rows_say_revision() const {
    if (!drop_backends.empty() || !drop_services.empty()) return false;
    if (revision == 0) return put_services.empty() && put_backends.empty();
    const auto is_of_it = [this](const auto& entry) { return entry->revision == revision; };
    return std::ranges::any_of(put_services, is_of_it) ||
           std::ranges::any_of(
               put_backends, is_of_it, [](const auto& of) -> auto& { return of.second; });
}

bool Write::empty() const {
    return revision == 0 && rows() == 0;
}

}  // namespace gorb::store
