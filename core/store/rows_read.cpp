// Everything that a database has, in one pass over each table, in the order of its key.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "model/codec.h"
#include "model/rules.h"
#include "store/row_sum.h"
#include "store/rows.h"

namespace gorb::store {
namespace {

using base::Errc;
using base::fail;
using base::Result;
using base::Status;

// `what` says which row. 0: the row was changed by hand.
Status check_sum(int64_t stored, int64_t computed, const std::string& what) {
    if (stored == computed || stored == 0) return {};
    return fail(Errc::io,
                what +
                    " does not fit its CRC (it was changed by the disk, or by hand: set its crc to 0 "
                    "if by hand)");
}

Status check_name(std::string_view name, const std::string& what) {
    if (model::name_violation(name)) return fail(Errc::io, what + " has a name that can not be");
    return {};
}

tl::unexpected<base::Error> bad_address(const std::string& what) {
    return fail(Errc::io, what + " has an address that can not be read");
}

Result<model::ServiceKey> read_key(std::string_view text, const std::string& what) {
    model::ServiceKey key;
    const size_t slash = text.rfind('/');
    if (slash == std::string_view::npos) return bad_address(what);
    const std::string_view protocol = text.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp") return bad_address(what);
    key.protocol = protocol == "tcp" ? model::Protocol::tcp : model::Protocol::udp;
    const auto vip = base::Endpoint::parse(text.substr(0, slash));
    if (!vip) return bad_address(what);
    key.vip = *vip;
    return key;
}

// Objects by what their settings say. `T` is a Service or a Backend without name and address.
template <class T>
class Memo {
  public:
    struct Known {
        T spec;
        uint32_t crc = 0;
    };
    // What `settings` says of an object with an address of that family; `read` parses it.
    template <class Read>
    Result<const Known*> find(bool v4, std::string_view settings, Read&& read) {
        auto& known = known_[v4 ? 0 : 1];
        auto& last = last_[v4 ? 0 : 1];
        if (last && last->first == settings) return &last->second;
        const auto found = known.find(settings);
        if (found != known.end()) {
            last = &*found;
            return &found->second;
        }
        auto spec = read(settings);
        if (!spec) return fail(std::move(spec.error()));
        const uint32_t crc = crc_of(settings);
        last = &*known.emplace(std::string(settings), Known{std::move(*spec), crc}).first;
        return &last->second;
    }

  private:
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    using Map = std::unordered_map<std::string, Known, Hash, std::equal_to<>>;
    std::array<Map, 2> known_;
    std::array<typename Map::value_type*, 2> last_{};
};

class Reader {
  public:
    Reader(Connection& file, const std::string& path) : file_(&file), doing_("can not read " + path) {}

    Result<Loaded> read() {
        // One reading transaction: one state, whoever writes meanwhile.
        Status done = run("BEGIN");
        if (done) done = meta();
        if (done) done = services();
        if (done) done = backends();
        if (done) done = health();
        if (done) done = leaving();
        if (done) done = vips();
        file_->exec("ROLLBACK");
        if (!done) return fail(std::move(done.error()));
        return std::move(all_);
    }

  private:
    Status run(const char* sql) {
        const int code = file_->exec(sql);
        if (code != SQLITE_OK) return fail(file_->error(code, doing_));
        return {};
    }

    // row(Statement&) -> Status for each row.
    template <class Row>
    Status each(std::string_view sql, Row&& row) {
        Statement statement;
        int code = file_->prepare(sql, statement);
        // The tables of another schema are a damage here: the version is known to be ours.
        if (code == SQLITE_ERROR) return fail(Errc::io, sqlite3_errmsg(file_->raw()));
        if (code != SQLITE_OK) return fail(file_->error(code, doing_));
        for (code = statement.step(); code == SQLITE_ROW; code = statement.step()) {
            if (Status read = row(statement); !read) return read;
        }
        if (code != SQLITE_DONE) return fail(file_->error(code, doing_));
        return {};
    }

    // The newest state is of the highest revision.
    uint64_t seen(int64_t revision) {
        const auto value = static_cast<uint64_t>(revision);
        all_.revision = std::max(all_.revision, value);
        return value;
    }

    Status meta() {
        size_t rows = 0;
        Status read =
            each("SELECT identity, revision, refused, crc FROM meta", [&](Statement& row) -> Status {
                ++rows;
                all_.identity = row.text(0);
                seen(row.integer(1));
                return check_sum(row.integer(3),
                                 RowSum().add(row.text(0)).add(row.integer(1)).add(row.integer(2)).value(),
                                 "the row of meta");
            });
        if (read && rows != 1) return fail(Errc::io, "meta has no row");
        return read;
    }

    Status services() {
        Memo<model::Service> memo;
        std::unordered_set<std::string> keys;
        return each(
            "SELECT name, revision, origin, deleting, address, settings, crc FROM service ORDER BY name",
            [&](Statement& row) -> Status {
                const std::string what = "service \"" + std::string(row.text(0)) + "\"";
                const auto key = read_key(row.text(4), what);
                if (!key) return fail(key.error());
                const auto known = memo.find(key->vip.ip.v4(), row.text(5), [&key](std::string_view text) {
                    return model::read_service_settings(*key, text);
                });
                if (!known) return bad_settings(what, known.error());
                RowSum sum = RowSum()
                                 .add(row.text(0))
                                 .add(row.integer(1))
                                 .add(row.integer(2))
                                 .add(row.integer(3))
                                 .add(row.text(4));
                if (Status good = check_sum(row.integer(6), sum.value((*known)->crc), what); !good)
                    return good;
                if (Status good = check_name(row.text(0), what); !good) return good;
                if (row.integer(2) != 0 && row.integer(2) != 1)
                    return fail(Errc::io, what + " has an origin that can not be");
                if (!keys.emplace(row.text(4)).second)
                    return fail(Errc::io, what + " has the address of another service");
                Loaded::ServiceRow& made = all_.services.emplace_back();
                made.spec = (*known)->spec;
                made.spec.name = row.text(0);
                made.spec.key = *key;
                made.spec.deleting = row.integer(3) != 0;
                made.revision = seen(row.integer(1));
                made.origin = static_cast<model::Origin>(row.integer(2));
                // What was read once was checked for the first one's address.
                const auto violations = model::service_violations(made.spec);
                if (!violations.empty())
                    return fail(Errc::io,
                                what + ": " + violations.front().pointer + " " + violations.front().what);
                return {};
            });
    }

    Status backends() {
        Memo<model::Backend> memo;
        size_t at = 0;
        std::vector<base::Endpoint> addresses;  // of the service
        Status read = each(
            "SELECT service, name, revision, address, settings, crc, drain FROM backend ORDER BY service, "
            "name",
            [&](Statement& row) -> Status {
                const std::string_view service = row.text(0), name = row.text(1), text = row.text(3);
                const int64_t revision = row.integer(2);
                const auto what = [&] {
                    return "backend \"" + std::string(name) + "\" of service \"" + std::string(service) +
                           "\"";
                };
                if (at < all_.services.size() && all_.services[at].spec.name != service) {
                    if (!one_of_each(addresses))
                        return fail(Errc::io, "two backends of service \"" + all_.services[at].spec.name +
                                                  "\" have the same address");
                    while (at < all_.services.size() && all_.services[at].spec.name < service) ++at;
                }
                if (at == all_.services.size() || all_.services[at].spec.name != service)
                    return fail(Errc::io, what() + " has no such service");
                const auto address = base::Endpoint::parse(text);
                if (!address) return bad_address(what());
                addresses.push_back(*address);
                const auto known = memo.find(address->ip.v4(), row.text(4), [&](std::string_view settings) {
                    return read_backend(*address, settings);
                });
                if (!known) return bad_settings(what(), known.error());
                const int64_t computed = RowSum()
                                             .add(service)
                                             .add(name)
                                             .add(revision)
                                             .add(text)
                                             .add_later(row.integer(6))
                                             .value((*known)->crc);
                if (row.integer(5) != computed) {
                    if (Status good = check_sum(row.integer(5), computed, what()); !good) return good;
                }
                if (model::name_violation(name)) return check_name(name, what());
                Loaded::BackendRow& made = all_.services[at].backends.emplace_back();
                made.spec = (*known)->spec;
                made.spec.name = name;
                made.spec.address = *address;
                made.revision = seen(revision);
                made.drain_since = row.integer(6);
                if (const auto violation = model::backend_address_usable(made.spec))
                    return fail(Errc::io, what() + ": " + violation->pointer + " " + violation->what);
                return {};
            });
        if (read && !one_of_each(addresses))
            return fail(Errc::io, "two backends of the last service have the same address");
        return read;
    }

    // Empties it, too.
    static bool one_of_each(std::vector<base::Endpoint>& addresses) {
        std::ranges::sort(addresses);
        const bool good = std::ranges::adjacent_find(addresses) == addresses.end();
        addresses.clear();
        return good;
    }

    // Equal pulses become one.
    Result<model::Backend> read_backend(const base::Endpoint& address, std::string_view settings) {
        auto spec = model::read_backend_settings(address, settings);
        if (!spec) return spec;
        for (const model::PulseList& known : pulses_) {
            if (known == spec->pulses) {
                spec->pulses = known;
                return spec;
            }
        }
        constexpr size_t most = 64;  // looked through one by one
        if (pulses_.size() < most) pulses_.push_back(spec->pulses);
        return spec;
    }

    Status health() {
        size_t service = 0, backend = 0;
        return each("SELECT service, backend, state, since, back, crc, share FROM health ORDER BY 1, 2",
                    [&](Statement& row) -> Status {
                        const std::string_view first = row.text(0), second = row.text(1);
                        while (service < all_.services.size() && all_.services[service].spec.name < first) {
                            ++service;
                            backend = 0;
                        }
                        Loaded::BackendRow* found = nullptr;
                        if (service < all_.services.size() && all_.services[service].spec.name == first) {
                            auto& of = all_.services[service].backends;
                            while (backend < of.size() && of[backend].spec.name < second) ++backend;
                            if (backend < of.size() && of[backend].spec.name == second) found = &of[backend];
                        }
                        const auto what = [&row] {
                            return "the health of backend \"" + std::string(row.text(1)) +
                                   "\" of service \"" + std::string(row.text(0)) + "\"";
                        };
                        if (!found) return fail(Errc::io, what() + " is there, but not the backend");
                        const int64_t state = row.integer(2), share = row.integer(6);
                        const int64_t computed = RowSum()
                                                     .add(row.text(0))
                                                     .add(row.text(1))
                                                     .add(state)
                                                     .add(row.integer(3))
                                                     .add(row.integer(4))
                                                     .add_later(100 - share)
                                                     .value();
                        if (row.integer(5) != computed) {
                            if (Status good = check_sum(row.integer(5), computed, what()); !good) return good;
                        }
                        if (state < 0 || state > 2)
                            return fail(Errc::io, what() + " has a state that can not be");
                        if (share < 0 || share > 100)
                            return fail(Errc::io, what() + " has a share that can not be");
                        found->health = {static_cast<Health::State>(state), row.integer(3), row.integer(4),
                                         static_cast<uint8_t>(share)};
                        return {};
                    });
    }

    Status leaving() {
        return each("SELECT service, backend, crc, granted FROM leaving ORDER BY service, backend",
                    [this](Statement& row) -> Status {
                        const std::string what = "a row of leaving (" + std::string(row.text(0)) + ", " +
                                                 std::string(row.text(1)) + ")";
                        const auto key = read_key(row.text(0), what);
                        if (!key) return fail(key.error());
                        Leaving made{*key, {}, row.integer(3) != 0};
                        if (!row.text(1).empty()) {
                            const auto backend = base::Endpoint::parse(row.text(1));
                            if (!backend) return bad_address(what);
                            made.backend = *backend;
                        }
                        all_.leaving.push_back(made);
                        RowSum sum = RowSum().add(row.text(0)).add(row.text(1)).add_later(row.integer(3));
                        return check_sum(row.integer(2), sum.value(), what);
                    });
    }

    Status vips() {
        return each("SELECT address, crc FROM vip ORDER BY address", [this](Statement& row) -> Status {
            const std::string what = "a row of vip (" + std::string(row.text(0)) + ")";
            const auto ip = base::Ip::parse(row.text(0));
            if (!ip) return bad_address(what);
            all_.vips.push_back(*ip);
            return check_sum(row.integer(1), RowSum().add(row.text(0)).value(), what);
        });
    }

    static tl::unexpected<base::Error> bad_settings(const std::string& what, const base::Error& error) {
        return fail(Errc::io, what + " has settings that this gorbd can not read: " + error.sentence);
    }

    Connection* file_;
    std::string doing_;
    Loaded all_;
    std::vector<model::PulseList> pulses_;
};

}  // namespace

Result<Loaded> read_rows(Connection& file, const std::string& path) {
    return Reader(file, path).read();
}

}  // namespace gorb::store
