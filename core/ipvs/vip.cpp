#include "ipvs/vip.h"

#include <linux/if_addr.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/socket.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace gorb::ipvs {
namespace {

template <class T, void (*Free)(T*)>
struct FreeWith {
    void operator()(T* object) const { Free(object); }
};
using Socket = std::unique_ptr<nl_sock, FreeWith<nl_sock, nl_socket_free>>;
using Cache = std::unique_ptr<nl_cache, FreeWith<nl_cache, nl_cache_free>>;
using Address = std::unique_ptr<rtnl_addr, FreeWith<rtnl_addr, rtnl_addr_put>>;
using NlAddr = std::unique_ptr<nl_addr, FreeWith<nl_addr, nl_addr_put>>;

constexpr int list_attempts = 10;
constexpr int exchange_attempts = 2;
constexpr int no_socket = -NLE_BAD_SOCK;  // none can be had

// libnl's codes are negative NLE_* numbers.
base::Error failed(const std::string& what, int code) {
    base::Error error;
    error.code = base::Errc::refused;
    if (code == no_socket) {
        error.code = base::Errc::unavailable;
        error.sentence = what + ": there is no descriptor, or no memory, for a netlink socket";
        return error;
    }
    if (code == -NLE_PERM) error.code = base::Errc::forbidden;
    error.sentence = what + ": " + nl_geterror(code);
    if (code == -NLE_PERM) error.sentence += "; CAP_NET_ADMIN is needed";
    return error;
}

// Does libnl's code say how things are, so that there is nothing to be asked again? The others may be the
// kernel's refusal as well as an exchange that broke off: libnl has the same numbers for both.
bool is_answer(int code) {
    switch (code) {
        case -NLE_EXIST:
        case -NLE_NOADDR:
        case -NLE_NODEV:
        case -NLE_OBJ_NOTFOUND:
        case -NLE_PERM:
            return true;
        default:
            return code >= 0;
    }
}

class RouteVipTable final : public VipTable {
  public:
    explicit RouteVipTable(std::string interface) : interface_(std::move(interface)) {}

    base::Result<std::set<base::Ip>> addresses() override;
    base::Result<bool> add(const base::Ip& address, const std::set<base::Ip>& there) override;
    base::Result<std::vector<base::Ip>> move_here(const std::vector<base::Ip>& addresses) override;
    base::Status remove(const base::Ip& address) override;
    // Its number now; an interface that was made anew has another one. Errc::not_found.
    base::Result<int> interface_index();

  private:
    struct Place {
        base::Ip address;
        int index = 0;
        uint32_t prefix = 0;
    };
    // What comes of one exchange of libnl with the kernel, as libnl's code; one that broke off is tried once
    // more.
    template <class Exchange>
    int ask(Exchange exchange);
    // Opens the socket where there is none.
    bool connected();
    // Every address of every interface.
    base::Result<std::vector<Place>> places();
    base::Result<Address> make(const base::Ip& address, int index) const;
    // -NLE_EXIST: it was there.
    int add_to(rtnl_addr* wanted);
    base::Status remove_from(int index, const base::Ip& address);

    Socket socket_;  // null: none since an exchange broke off
    const std::string interface_;
};

bool RouteVipTable::connected() {
    if (socket_) return true;
    Socket made(nl_socket_alloc());
    if (!made || nl_connect(made.get(), NETLINK_ROUTE) < 0) return false;
    socket_ = std::move(made);
    return true;
}

// What breaks off leaves the rest of an answer in the socket, where libnl would take it for the next one's:
// it is not used again.
template <class Exchange>
int RouteVipTable::ask(Exchange exchange) {
    int code = no_socket;
    for (int i = 0; i < exchange_attempts; ++i) {
        if (!connected()) return no_socket;
        code = exchange(socket_.get());
        if (is_answer(code)) return code;
        socket_.reset();
    }
    return code;
}

// Not by libnl, which goes on without a word when it can not receive the acknowledgement of this question:
// that one would be taken for the next one's.
base::Result<int> RouteVipTable::interface_index() {
    const std::string what = "look for network interface " + interface_;
    if (!connected()) return base::fail(failed(what, no_socket));
    ifreq request{};
    // Of a name with a colon, as ifconfig's aliases have, the kernel would take what is before it.
    const bool possible =
        interface_.size() < sizeof request.ifr_name && interface_.find(':') == std::string::npos;
    if (possible) interface_.copy(request.ifr_name, interface_.size());
    if (possible && ioctl(nl_socket_get_fd(socket_.get()), SIOCGIFINDEX, &request) == 0)
        return request.ifr_ifindex;
    if (!possible || errno == ENODEV)
        return base::fail(base::Errc::not_found, "there is no network interface " + interface_);
    const int error = errno;
    return base::fail(base::Errc::refused, what + ": " + std::strerror(error), error);  // NOLINT: our text
}

base::Result<std::vector<RouteVipTable::Place>> RouteVipTable::places() {
    nl_cache* listed = nullptr;
    const int code = ask([&](nl_sock* socket) {
        int listing = -NLE_DUMP_INTR;
        for (int i = 0; i < list_attempts && listing == -NLE_DUMP_INTR; ++i) {
            listing = rtnl_addr_alloc_cache(socket, &listed);
        }
        return listing;
    });
    if (code < 0) return base::fail(failed("list the addresses of this host", code));
    const Cache cache(listed);
    std::vector<Place> all;
    for (nl_object* o = nl_cache_get_first(cache.get()); o; o = nl_cache_get_next(o)) {
        auto* one = reinterpret_cast<rtnl_addr*>(o);
        nl_addr* local = rtnl_addr_get_local(one);
        const int family = local ? nl_addr_get_family(local) : AF_UNSPEC;
        if (family != AF_INET && family != AF_INET6) continue;
        if (nl_addr_get_len(local) != (family == AF_INET ? 4 : 16)) continue;
        all.push_back({base::Ip::from_bytes(family, nl_addr_get_binary_addr(local)),
                       rtnl_addr_get_ifindex(one), static_cast<uint32_t>(rtnl_addr_get_prefixlen(one))});
    }
    return all;
}

base::Result<std::set<base::Ip>> RouteVipTable::addresses() {
    const auto all = places();
    if (!all) return base::fail(all.error());
    std::set<base::Ip> out;
    for (const Place& place : *all) out.insert(place.address);
    return out;
}

base::Result<Address> RouteVipTable::make(const base::Ip& address, int index) const {
    Address out(rtnl_addr_alloc());
    const NlAddr local(nl_addr_build(address.af(), address.bytes.data(), address.bits() / 8));
    if (!out || !local) return base::fail(failed("VIP " + address.text(), -NLE_NOMEM));
    nl_addr_set_prefixlen(local.get(), static_cast<int>(address.bits()));
    rtnl_addr_set_ifindex(out.get(), index);
    rtnl_addr_set_family(out.get(), address.af());
    if (const int code = rtnl_addr_set_local(out.get(), local.get()); code < 0) {
        return base::fail(failed("VIP " + address.text(), code));
    }
    if (address.v6()) {
        rtnl_addr_set_flags(out.get(), IFA_F_NODAD);
        // Deprecated: taken for what comes to it, and not chosen as the source of what this host begins.
        rtnl_addr_set_preferred_lifetime(out.get(), 0);
        rtnl_addr_set_valid_lifetime(out.get(), UINT32_MAX);  // for ever
    }
    return out;
}

int RouteVipTable::add_to(rtnl_addr* wanted) {
    bool again = false;
    return ask([&](nl_sock* socket) {
        const int code = rtnl_addr_add(socket, wanted, NLM_F_EXCL);
        // It was added the first time, and only the answer was lost.
        if (std::exchange(again, true) && code == -NLE_EXIST) return 0;
        return code;
    });
}

base::Result<bool> RouteVipTable::add(const base::Ip& address, const std::set<base::Ip>& there) {
    if (!address) return base::fail(base::Errc::invalid, "no address to add to " + interface_);
    const std::string what = "add VIP " + address.text() + " to " + interface_;
    if (there.contains(address)) return false;
    const auto index = interface_index();
    if (!index) return base::fail(index.error());
    const auto wanted = make(address, *index);
    if (!wanted) return base::fail(wanted.error());
    const int code = add_to(wanted->get());
    if (code == -NLE_EXIST) return false;  // somebody was faster
    if (code < 0) return base::fail(failed(what, code));
    return true;
}

base::Result<std::vector<base::Ip>> RouteVipTable::move_here(const std::vector<base::Ip>& addresses) {
    const auto index = interface_index();
    if (!index) return base::fail(index.error());
    const auto all = places();
    if (!all) return base::fail(all.error());
    std::set<base::Ip> missing(addresses.begin(), addresses.end());
    for (const Place& place : *all) {
        if (place.index == *index) missing.erase(place.address);
    }
    std::vector<base::Ip> moved;
    for (const Place& place : *all) {
        if (place.prefix != place.address.bits() || !missing.contains(place.address)) continue;
        const auto wanted = make(place.address, *index);
        if (!wanted) return base::fail(wanted.error());
        const int code = add_to(wanted->get());
        if (code < 0 && code != -NLE_EXIST)
            return base::fail(failed("move VIP " + place.address.text() + " to " + interface_, code));
        if (auto removed = remove_from(place.index, place.address); !removed)
            return base::fail(removed.error());
        moved.push_back(place.address);
    }
    return moved;
}

base::Status RouteVipTable::remove_from(int index, const base::Ip& address) {
    const auto unwanted = make(address, index);
    if (!unwanted) return base::fail(unwanted.error());
    const int code = ask([&](nl_sock* socket) { return rtnl_addr_delete(socket, unwanted->get(), 0); });
    if (code < 0 && code != -NLE_NOADDR && code != -NLE_OBJ_NOTFOUND && code != -NLE_NODEV) {
        char name[IF_NAMESIZE] = "its interface";
        if_indextoname(static_cast<unsigned>(index), name);
        return base::fail(failed("remove VIP " + address.text() + " from " + name, code));
    }
    return {};
}

base::Status RouteVipTable::remove(const base::Ip& address) {
    if (!address) return base::fail(base::Errc::invalid, "no address to remove from " + interface_);
    const auto index = interface_index();
    if (!index && index.error().code == base::Errc::not_found) return {};  // its addresses went with it
    if (!index) return base::fail(index.error());
    return remove_from(*index, address);
}

}  // namespace

base::Result<std::unique_ptr<VipTable>> open_vip_table(const std::string& interface) {
    auto vips = std::make_unique<RouteVipTable>(interface);
    if (const auto index = vips->interface_index(); !index) return base::fail(index.error());
    return vips;
}

}  // namespace gorb::ipvs
