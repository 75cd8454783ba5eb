// PersistentMap: an ordered map whose copies share what they have in common.
//
// insert() and erase() leave the old map as it was and give a new one, for O(log n) new nodes; copying costs
// one pointer. So a reader that holds a map sees one state of it for as long as it likes, and no writer
// waits.
//
// A B+-tree with path copying: entries lie side by side in leaves of up to 32. As a node never changes it has
// exactly the size of what is in it: a map costs sizeof(entry) + 3 bytes for each, whatever was done to it.
// With a KeyOf the key is read out of the value (`const K& operator()(const V&)`) and not kept once more.
// Threads: maps are values; different maps may be used by different threads even where they share nodes.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace gorb::base {

// The KeyOf of maps that keep their keys beside the values.
struct KeptKey {};

template <class K, class V, class KeyOf = KeptKey>
class PersistentMap {
    static constexpr bool kept = std::is_same_v<KeyOf, KeptKey>;
    struct Pair {
        K key;
        V value;
    };
    using Entry = std::conditional_t<kept, Pair, V>;
    static const K& key_of(const Entry& entry) {
        if constexpr (kept) {
            return entry.key;
        } else {
            return KeyOf{}(entry);
        }
    }
    static const V& value_of(const Entry& entry) {
        if constexpr (kept) {
            return entry.value;
        } else {
            return entry;
        }
    }

    struct Node;
    // Counts its node's users.
    class Ptr {
      public:
        Ptr() = default;
        explicit Ptr(Node* node) : node_(node) {}  // takes over the use that the node was made with
        Ptr(const Ptr& other) : node_(other.node_) {
            if (node_) node_->users.fetch_add(1, std::memory_order_relaxed);
        }
        Ptr(Ptr&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
        Ptr& operator=(Ptr other) noexcept {
            std::swap(node_, other.node_);
            return *this;
        }
        ~Ptr() {
            if (node_ && node_->users.fetch_sub(1, std::memory_order_acq_rel) == 1) Node::destroy(node_);
        }
        explicit operator bool() const { return node_ != nullptr; }
        Node* operator->() const { return node_; }
        Node& operator*() const { return *node_; }
        Node* get() const { return node_; }

      private:
        Node* node_ = nullptr;
    };
    struct Branch {
        Ptr child;
        const Entry* first;  // the least entry under it
    };
    static constexpr size_t most_entries = 32, most_branches = 16;

    // Its entries or branches lie right behind it.
    struct Node {
        std::atomic<uint32_t> users{1};
        uint32_t count : 31 = 0;
        uint32_t leaf : 1 = 0;

        static constexpr size_t align = std::max({alignof(Entry), alignof(Branch), size_t{8}});
        static constexpr size_t head = (2 * sizeof(uint32_t) + align - 1) / align * align;
        static_assert(align <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

        template <class T>
        T* items() {
            return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(this) + head);
        }
        const Entry& entry(size_t i) { return items<Entry>()[i]; }
        const Branch& branch(size_t i) { return items<Branch>()[i]; }
        const Entry* first() { return leaf ? items<Entry>() : items<Branch>()[0].first; }
        bool thin() const { return count < (leaf ? most_entries : most_branches) / 4; }

        static void destroy(Node* node) {
            if (node->leaf) {
                std::destroy_n(node->items<Entry>(), node->count);
            } else {
                std::destroy_n(node->items<Branch>(), node->count);
            }
            node->~Node();
            ::operator delete(node);
        }
    };

    // A node of `count` items, item(0) .. item(count - 1).
    template <class T, class Item>
    static Ptr make(size_t count, Item&& item) {
        const size_t size =
            Node::head + count * sizeof(T);  // NOLINT(bugprone-sizeof-expression): pointers too
        Ptr node(new (::operator new(size)) Node);
        node->leaf = std::is_same_v<T, Entry>;
        for (size_t i = 0; i < count; ++i) {
            new (node->template items<T>() + i) T(item(i));
            node->count = node->count + 1;
        }
        return node;
    }
    static Branch branch_to(Ptr child) {
        const Entry* first = child->first();
        return {std::move(child), first};
    }

    // One node of `count` items, or two if that is too many for one. `last`: nothing is to the right of them,
    // so keys that come in ascending order fill the left one.
    struct Made {
        Ptr one, two;
    };
    template <class T, class Item>
    static Made make_split(size_t count, bool last, Item&& item) {
        constexpr size_t most = std::is_same_v<T, Entry> ? most_entries : most_branches;
        if (count <= most) return {make<T>(count, item), {}};
        const size_t cut = last ? most : count / 2;
        return {make<T>(cut, item), make<T>(count - cut, [&](size_t i) { return item(cut + i); })};
    }

    // The first entry that is not less than `key`.
    template <class Q>
    static size_t lower_bound(Node& leaf, const Q& key) {
        const Entry* begin = leaf.template items<Entry>();
        return static_cast<size_t>(
            std::partition_point(begin, begin + leaf.count, [&](const Entry& e) { return key_of(e) < key; }) -
            begin);
    }
    // The branch under which `key` is, if anywhere.
    template <class Q>
    static size_t branch_of(Node& node, const Q& key) {
        const Branch* begin = node.template items<Branch>();
        const auto* after = std::partition_point(begin + 1, begin + node.count,
                                                 [&](const Branch& b) { return !(key < key_of(*b.first)); });
        return static_cast<size_t>(after - begin) - 1;
    }

    template <class Q>
    static const Entry* entry_at(Node* node, const Q& key) {
        if (!node) return nullptr;
        while (!node->leaf) node = node->branch(branch_of(*node, key)).child.get();
        const size_t i = lower_bound(*node, key);
        return i < node->count && !(key < key_of(node->entry(i))) ? &node->entry(i) : nullptr;
    }

  public:
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // The value's address, valid as long as this map or a copy of it; nullptr if there is none.
    template <class Q>
    const V* find(const Q& key) const {
        const Entry* entry = entry_at(root_.get(), key);
        return entry ? &value_of(*entry) : nullptr;
    }

    // This map with `key` set to `value`, whether it was there or not.
    [[nodiscard]] PersistentMap insert(K key, V value) const requires kept {
        return with(Pair{std::move(key), std::move(value)});
    }
    [[nodiscard]] PersistentMap insert(V value) const requires(!kept) { return with(std::move(value)); }

    // This map without `key`.
    template <class Q>
    [[nodiscard]] PersistentMap erase(const Q& key) const {
        if (!find(key)) return *this;
        Ptr root = drop(*root_, key);
        while (root && !root->leaf && root->count == 1) root = Ptr(root->branch(0).child);
        return {std::move(root), size_ - 1};
    }

    // fn(const K&, const V&) in ascending order of keys.
    template <class Fn>
    void for_each(Fn&& fn) const {
        if (root_) walk(*root_, fn);
    }

    PersistentMap() = default;

  private:
    PersistentMap(Ptr root, size_t size) : root_(std::move(root)), size_(size) {}

    PersistentMap with(Entry entry) const {
        if (!root_) {
            return {make<Entry>(1, [&](size_t) -> Entry&& { return std::move(entry); }), 1};
        }
        bool grows = true;
        Made made = put(*root_, entry, true, grows);
        Ptr root = std::move(made.one);
        if (made.two) {
            Ptr halves[] = {std::move(root), std::move(made.two)};
            root = make<Branch>(2, [&](size_t i) { return branch_to(std::move(halves[i])); });
        }
        return {std::move(root), size_ + (grows ? 1 : 0)};
    }

    // Copies of the nodes on the way to `entry`, with it. `last`: there is nothing to the right of `node`.
    static Made put(Node& node, Entry& entry, bool last, bool& grows) {
        if (node.leaf) {
            const size_t at = lower_bound(node, key_of(entry));
            grows = at == node.count || key_of(entry) < key_of(node.entry(at));
            const size_t more = grows ? 1 : 0;
            // Whatever follows the new one moves by one place, unless it took another's. It is copied, not
            // moved: what its key is compared with above may be its own.
            return make_split<Entry>(node.count + more, last && at == node.count,
                                     [&](size_t i) -> const Entry& {
                                         if (i == at) return entry;
                                         return node.entry(i < at ? i : i - more);
                                     });
        }
        const size_t at = branch_of(node, key_of(entry));
        const bool rightmost = last && at + 1 == node.count;
        Made made = put(*node.branch(at).child, entry, rightmost, grows);
        const size_t more = made.two ? 1 : 0;
        return make_split<Branch>(node.count + more, rightmost, [&](size_t i) {
            if (i == at) return branch_to(made.one);
            if (more && i == at + 1) return branch_to(made.two);
            return node.branch(i < at ? i : i - more);
        });
    }

    // The same without `key`, which is there; null if nothing is left.
    template <class Q>
    static Ptr drop(Node& node, const Q& key) {
        if (node.leaf) {
            const size_t at = lower_bound(node, key);
            if (node.count == 1) return {};
            return make<Entry>(node.count - 1,
                               [&](size_t i) -> const Entry& { return node.entry(i < at ? i : i + 1); });
        }
        const size_t at = branch_of(node, key);
        Made made{drop(*node.branch(at).child, key), {}};
        size_t begin = at, end = at + 1;  // the branches that become `made`
        if (made.one && made.one->thin() && node.count > 1) {
            const bool left = at > 0;
            const Ptr other = node.branch(left ? at - 1 : at + 1).child;
            made = left ? merge(*other, *made.one) : merge(*made.one, *other);
            (left ? begin : end) += left ? size_t(-1) : 1;
        }
        const size_t between = (made.one ? 1 : 0) + (made.two ? 1 : 0);
        const size_t count = node.count - (end - begin) + between;
        if (count == 0) return {};
        return make<Branch>(count, [&](size_t i) {
            if (i < begin) return node.branch(i);
            if (i >= begin + between) return node.branch(i - between + (end - begin));
            return branch_to(i == begin ? made.one : made.two);
        });
    }
    static Made merge(Node& a, Node& b) {
        if (a.leaf) {
            return make_split<Entry>(a.count + b.count, false, [&](size_t i) -> const Entry& {
                return i < a.count ? a.entry(i) : b.entry(i - a.count);
            });
        }
        return make_split<Branch>(a.count + b.count, false, [&](size_t i) -> const Branch& {
            return i < a.count ? a.branch(i) : b.branch(i - a.count);
        });
    }

    template <class Fn>
    static void walk(Node& node, Fn& fn) {
        for (size_t i = 0; i < node.count; ++i) {
            if (node.leaf) {
                fn(key_of(node.entry(i)), value_of(node.entry(i)));
            } else {
                walk(*node.branch(i).child, fn);
            }
        }
    }

    Ptr root_;
    size_t size_ = 0;
};

}  // namespace gorb::base
