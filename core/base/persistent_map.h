// PersistentMap: an ordered map whose copies share what they have in common.
//
// insert() and erase() leave the old map as it was and give a new one, for O(log n) new nodes; copying costs
// one pointer. So a reader that holds a map sees one state of it for as long as it likes, and no writer
// waits.
//
// A treap with path copying. Priorities come from the key's hash, so the shape depends on the content only.
// Threads: maps are values; different maps may be used by different threads even where they share nodes.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

namespace gorb::base {

template <class K, class V>
class PersistentMap {
    struct Node;
    using Ptr = std::shared_ptr<const Node>;
    struct Node {
        K key;
        V value;
        size_t priority;
        Ptr left, right;
    };

  public:
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // The value's address, valid as long as any map that shares it; nullptr if there is none.
    template <class Q>
    const V* find(const Q& key) const {
        const Node* n = root_.get();
        while (n) {
            if (key < n->key) {
                n = n->left.get();
            } else if (n->key < key) {
                n = n->right.get();
            } else {
                return &n->value;
            }
        }
        return nullptr;
    }

    // This map with `key` set to `value`, whether it was there or not.
    [[nodiscard]] PersistentMap insert(K key, V value) const {
        const bool grows = find(key) == nullptr;
        const size_t priority = mix(std::hash<K>{}(key));
        return {put(root_, std::move(key), std::move(value), priority), size_ + (grows ? 1 : 0)};
    }

    // This map without `key`.
    template <class Q>
    [[nodiscard]] PersistentMap erase(const Q& key) const {
        if (!find(key)) return *this;
        return {drop(root_, key), size_ - 1};
    }

    // fn(const K&, const V&) in ascending order of keys.
    template <class Fn>
    void for_each(Fn&& fn) const {
        walk(root_.get(), fn);
    }

    PersistentMap() = default;

  private:
    PersistentMap(Ptr root, size_t size) : root_(std::move(root)), size_(size) {}

    // std::hash of integers is the identity; spread it, or sorted keys would make a list of the tree.
    static size_t mix(size_t h) {
        h ^= h >> 33;
        h *= 0xff51afd7ed558ccdULL;
        h ^= h >> 33;
        h *= 0xc4ceb9fe1a85ec53ULL;
        return h ^ (h >> 33);
    }
    static Ptr with(const Node& n, Ptr left, Ptr right) {
        return std::make_shared<const Node>(
            Node{n.key, n.value, n.priority, std::move(left), std::move(right)});
    }
    static Ptr put(const Ptr& at, K key, V value, size_t priority) {
        if (!at) {
            return std::make_shared<const Node>(
                Node{std::move(key), std::move(value), priority, nullptr, nullptr});
        }
        if (key < at->key) {
            Ptr left = put(at->left, std::move(key), std::move(value), priority);
            if (left->priority <= at->priority) return with(*at, std::move(left), at->right);
            return with(*left, left->left, with(*at, left->right, at->right));
        }
        if (at->key < key) {
            Ptr right = put(at->right, std::move(key), std::move(value), priority);
            if (right->priority <= at->priority) return with(*at, at->left, std::move(right));
            return with(*right, with(*at, at->left, right->left), right->right);
        }
        return std::make_shared<const Node>(
            Node{std::move(key), std::move(value), at->priority, at->left, at->right});
    }
    static Ptr merge(const Ptr& a, const Ptr& b) {
        if (!a) return b;
        if (!b) return a;
        if (a->priority >= b->priority) return with(*a, a->left, merge(a->right, b));
        return with(*b, merge(a, b->left), b->right);
    }
    template <class Q>
    static Ptr drop(const Ptr& at, const Q& key) {
        if (key < at->key) return with(*at, drop(at->left, key), at->right);
        if (at->key < key) return with(*at, at->left, drop(at->right, key));
        return merge(at->left, at->right);
    }
    template <class Fn>
    static void walk(const Node* n, Fn& fn) {
        if (!n) return;
        walk(n->left.get(), fn);
        fn(n->key, n->value);
        walk(n->right.get(), fn);
    }

    Ptr root_;
    size_t size_ = 0;
};

}  // namespace gorb::base
