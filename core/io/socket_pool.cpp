#include "io/socket_pool.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/trouble.h"

namespace gorb::io {
namespace {

int connect_to(int fd, const SocketAddress& to) {
    return ::connect(fd, to.get(), to.size) == 0 ? 0 : errno;
}

int disconnect(int fd) {
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    return ::connect(fd, &nobody, sizeof nobody);
}

// Of a socket that was used before: it is not as a new one would be, and a new one may do. One that is bound
// to a device knows it by its number: what comes back under the same name has another.
bool spoiled(int error, const Way& way) {
    return error == EISCONN || error == EALREADY || error == EINVAL || error == EBADF || error == ENOTSUP ||
           error == ECONNABORTED || (!way.interface.empty() && our_trouble_at_once(error));
}

// Over IPv6 a socket goes on sending from a source that this machine has no more, and the answers are lost.
// Only a new one is told so, by bind().
bool serves_again(const Way& way) {
    return !way.source.ip || way.source.ip.v4();
}

// Three quarters of the descriptors that this process may have.
int many_descriptors() {
    constexpr rlim_t plenty = 1 << 30;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return plenty;
    return static_cast<int>(std::min(limit.rlim_cur, plenty) / 4 * 3);
}

void nobody_listens(void*, uint32_t) {}

}  // namespace

// There as long as a socket of it is.
struct SocketPool::Group {
    const Kind* kind = nullptr;
    std::vector<int> free;  // the one used last at the end: what is not needed collects at the front
    size_t least_free = 0;  // since the last look
    size_t used = 0;
    std::list<Group*>::iterator place;  // in `resting` or `busy`
};

struct SocketPool::Impl {
    explicit Impl(Loop& l) : loop(l) {}

    Group& group_of(const Kind& kind);
    base::Result<int> make(const Kind& kind);
    bool make_room();
    void close(int fd);
    void put(Group& group, int fd);
    int take(Group& group);
    void close_oldest(Group& group, size_t count);
    void forget_unused(Group& group);
    void look_later();
    void look_round();

    Loop& loop;
    std::unordered_map<Kind, Group, KindHash> groups;
    std::list<Group*> resting;  // some of theirs are free; whose have been for longest first
    std::list<Group*> busy;     // the others
    Group* last = nullptr;      // most connections are of one
    size_t open = 0;
    size_t most = SIZE_MAX;  // up to the next look, while something rests
    TimerId look = 0;
};

SocketPool::Group& SocketPool::Impl::group_of(const Kind& kind) {
    if (last && *last->kind == kind) return *last;
    const auto [there, made] = groups.try_emplace(kind);
    Group& group = there->second;
    if (made) {
        group.kind = &there->first;
        group.place = busy.insert(busy.end(), &group);
    }
    return *(last = &group);
}

// Rests from now on.
void SocketPool::Impl::put(Group& group, int fd) {
    if (group.free.empty()) resting.splice(resting.end(), busy, group.place);
    group.free.push_back(fd);
    look_later();
}

// The one of them that rested for the shortest time. There has to be one.
int SocketPool::Impl::take(Group& group) {
    const int fd = group.free.back();
    group.free.pop_back();
    group.least_free = std::min(group.least_free, group.free.size());
    if (group.free.empty()) busy.splice(busy.end(), resting, group.place);
    return fd;
}

// The group may be gone afterwards.
void SocketPool::Impl::close_oldest(Group& group, size_t count) {
    if (count == 0) return;
    for (size_t i = 0; i < count; ++i) close(group.free[i]);
    group.free.erase(group.free.begin(), group.free.begin() + static_cast<ptrdiff_t>(count));
    group.least_free = std::min(group.least_free, group.free.size());
    if (!group.free.empty()) return;
    busy.splice(busy.end(), resting, group.place);
    forget_unused(group);
}

void SocketPool::Impl::forget_unused(Group& group) {
    if (group.used != 0 || !group.free.empty()) return;
    if (last == &group) last = nullptr;
    busy.erase(group.place);
    groups.erase(groups.find(*group.kind));
}

base::Result<int> SocketPool::Impl::make(const Kind& kind) {
    auto fd = make_socket(kind.af, SOCK_STREAM, kind.way);
    if (!fd && fd.error().os_error == EMFILE && make_room()) fd = make_socket(kind.af, SOCK_STREAM, kind.way);
    if (!fd) return fd;
    const int one = 1;
    // Where one of the two is not to be had, a connection costs more and tells the same.
    if (kind.holds_ack) setsockopt(*fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one);
    if (kind.few_syns) setsockopt(*fd, IPPROTO_TCP, TCP_SYNCNT, &one, sizeof one);
    if (auto status = loop.watch_edges(*fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, &nobody_listens, nullptr);
        !status) {
        ::close(*fd);
        return base::fail(std::move(status.error()));
    }
    ++open;
    return fd;
}

void SocketPool::Impl::close(int fd) {
    reset_on_close(fd);
    loop.close(fd);
    --open;
}

// Gives back a descriptor that nobody needs now.
bool SocketPool::Impl::make_room() {
    if (resting.empty()) return false;
    close_oldest(*resting.front(), 1);
    return true;
}

void SocketPool::Impl::look_later() {
    if (look != 0) return;
    look = loop.at(loop.now() + rest_ns, [this] {
        look = 0;
        look_round();
    });
}

// Closes what was not needed since the last look.
void SocketPool::Impl::look_round() {
    most = SIZE_MAX;
    for (auto next = resting.begin(); next != resting.end();) {
        Group& group = **next++;
        const size_t unused = std::min(group.least_free, group.free.size());
        group.least_free = group.free.size() - unused;
        close_oldest(group, unused);
    }
    if (!resting.empty()) look_later();
}

SocketPool::SocketPool(Loop& loop) : impl_(std::make_unique<Impl>(loop)), many_(many_descriptors()) {}

SocketPool::~SocketPool() {
    impl_->loop.cancel(impl_->look);
    for (const Group* group : impl_->resting) {
        for (const int fd : group->free) impl_->close(fd);
    }
}

bool SocketPool::make_room() {
    return impl_->make_room();
}

// The number of one that was closed is the next one's, and a low number says nothing of how many there are.
// Therefore one more than was made is closed where there are many, and after that one for each, until a look
// finds out how it is by now.
void SocketPool::made(int fd) {
    if (fd >= many_) {
        impl_->make_room();
        impl_->make_room();
        impl_->most = impl_->open;
    } else if (impl_->open > impl_->most) {
        impl_->make_room();
    }
}

size_t SocketPool::sockets() const {
    return impl_->open;
}

size_t SocketPool::kinds() const {
    return impl_->groups.size();
}

size_t SocketPool::KindHash::operator()(const Kind& kind) const {
    uint64_t hash = base::hash_value(kind.way.source);
    for (const uint64_t part :
         {uint64_t{std::hash<std::string>{}(kind.way.interface)}, uint64_t{kind.way.fwmark},
          uint64_t{kind.way.scope},
          static_cast<uint64_t>(kind.af) * 4 + (kind.holds_ack ? 2 : 0) + (kind.few_syns ? 1 : 0)}) {
        hash = (hash ^ part) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
    }
    return static_cast<size_t>(hash);
}

base::Result<SocketPool::Begun> SocketPool::connect(const Kind& kind, const base::Endpoint& peer,
                                                    Loop::EdgeFn fn, void* arg) {
    Group& group = impl_->group_of(kind);
    ++group.used;
    const SocketAddress to(peer, kind.way.scope);
    Begun begun{{-1, &group}};
    if (!group.free.empty()) {
        begun.socket.fd = impl_->take(group);
        begun.error = connect_to(begun.socket.fd, to);
        if (spoiled(begun.error, kind.way)) impl_->close(std::exchange(begun.socket.fd, -1));
    }
    if (begun.socket.fd < 0) {
        auto made = impl_->make(kind);
        if (!made) {
            --group.used;
            impl_->forget_unused(group);
            return base::fail(std::move(made.error()));
        }
        begun.socket.fd = *made;
        this->made(*made);
        begun.error = connect_to(*made, to);
    }
    // What a router would say comes later: this is a route of our own that says unreachable.
    if (our_trouble_at_once(begun.error)) {
        give(begun.socket);
        return base::fail(socket_error("can not connect to " + peer.text(), begun.error));
    }
    impl_->loop.hand_edges(begun.socket.fd, fn, arg);
    return begun;
}

void SocketPool::give(Socket socket) {
    Group& group = *socket.group;
    --group.used;
    if (!serves_again(group.kind->way) || disconnect(socket.fd) != 0) {
        impl_->close(socket.fd);
        return impl_->forget_unused(group);
    }
    impl_->loop.hand_edges(socket.fd, &nobody_listens, nullptr);
    impl_->put(group, socket.fd);
}

}  // namespace gorb::io
