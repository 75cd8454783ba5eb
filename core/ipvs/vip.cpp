#include "ipvs/vip.h"

#include <linux/if_addr.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/socket.h>
#include <sys/socket.h>

namespace gorb::ipvs {
namespace {

template <class T, void (*Free)(T*)>
struct FreeWith {
    void operator()(T* object) const { Free(object); }
};
using Socket = std::unique_ptr<nl_sock, FreeWith<nl_sock, nl_socket_free>>;
using Cache = std::unique_ptr<nl_cache, FreeWith<nl_cache, nl_cache_free>>;
using Link = std::unique_ptr<rtnl_link, FreeWith<rtnl_link, rtnl_link_put>>;
using Address = std::unique_ptr<rtnl_addr, FreeWith<rtnl_addr, rtnl_addr_put>>;
using NlAddr = std::unique_ptr<nl_addr, FreeWith<nl_addr, nl_addr_put>>;

constexpr int list_attempts = 10;

// libnl's codes are negative NLE_* numbers.
base::Error failed(const std::string& what, int code) {
    base::Error error;
    error.code = base::Errc::refused;
    if (code == -NLE_PERM) error.code = base::Errc::forbidden;
    error.sentence = what + ": " + nl_geterror(code);
    if (code == -NLE_PERM) error.sentence += "; CAP_NET_ADMIN is needed";
    return error;
}

class RouteVipTable final : public VipTable {
  public:
    RouteVipTable(Socket socket, std::string interface)
        : socket_(std::move(socket)), interface_(std::move(interface)) {}

    base::Result<std::set<base::Ip>> addresses() override;
    base::Result<bool> add(const base::Ip& address, const std::set<base::Ip>& there) override;
    base::Result<std::vector<base::Ip>> move_here(const std::vector<base::Ip>& addresses) override;
    base::Status remove(const base::Ip& address) override;
    // Its number now; an interface that was made anew has another one. Errc::not_found.
    base::Result<int> interface_index() const;

  private:
    struct Place {
        base::Ip address;
        int index = 0;
        uint32_t prefix = 0;
    };
    // Every address of every interface.
    base::Result<std::vector<Place>> places() const;
    base::Result<Address> make(const base::Ip& address, int index) const;
    base::Status remove_from(int index, const base::Ip& address) const;

    Socket socket_;
    std::string interface_;
};

base::Result<int> RouteVipTable::interface_index() const {
    rtnl_link* found = nullptr;
    const int code = rtnl_link_get_kernel(socket_.get(), 0, interface_.c_str(), &found);
    const Link link(found);
    if (code == -NLE_NODEV || code == -NLE_OBJ_NOTFOUND) {
        return base::fail(base::Errc::not_found, "there is no network interface " + interface_);
    }
    if (code < 0) return base::fail(failed("look for network interface " + interface_, code));
    return rtnl_link_get_ifindex(link.get());
}

base::Result<std::vector<RouteVipTable::Place>> RouteVipTable::places() const {
    nl_cache* listed = nullptr;
    int code = -NLE_DUMP_INTR;
    for (int i = 0; i < list_attempts && code == -NLE_DUMP_INTR; ++i) {
        code = rtnl_addr_alloc_cache(socket_.get(), &listed);
    }
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

base::Result<bool> RouteVipTable::add(const base::Ip& address, const std::set<base::Ip>& there) {
    if (!address) return base::fail(base::Errc::invalid, "no address to add to " + interface_);
    const std::string what = "add VIP " + address.text() + " to " + interface_;
    if (there.contains(address)) return false;
    const auto index = interface_index();
    if (!index) return base::fail(index.error());
    const auto wanted = make(address, *index);
    if (!wanted) return base::fail(wanted.error());
    const int code = rtnl_addr_add(socket_.get(), wanted->get(), NLM_F_EXCL);
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
        const int code = rtnl_addr_add(socket_.get(), wanted->get(), NLM_F_EXCL);
        if (code < 0 && code != -NLE_EXIST)
            return base::fail(failed("move VIP " + place.address.text() + " to " + interface_, code));
        if (auto removed = remove_from(place.index, place.address); !removed)
            return base::fail(removed.error());
        moved.push_back(place.address);
    }
    return moved;
}

base::Status RouteVipTable::remove_from(int index, const base::Ip& address) const {
    const auto unwanted = make(address, index);
    if (!unwanted) return base::fail(unwanted.error());
    const int code = rtnl_addr_delete(socket_.get(), unwanted->get(), 0);
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
    Socket socket(nl_socket_alloc());
    if (!socket) return base::fail(base::Errc::unavailable, "no memory for a netlink socket", ENOMEM);
    if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code < 0) {
        return base::fail(failed("open a route netlink socket", code));
    }
    auto vips = std::make_unique<RouteVipTable>(std::move(socket), interface);
    if (const auto index = vips->interface_index(); !index) return base::fail(index.error());
    return vips;
}

}  // namespace gorb::ipvs
