#include "base/persistent_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace gorb::base::persistent_map_test {
namespace {

template <class K, class V>
std::map<K, V> content(const PersistentMap<K, V>& map) {
    std::map<K, V> out;
    const K* last = nullptr;
    map.for_each([&](const K& key, const V& value) {
        EXPECT_TRUE(!last || *last < key);
        last = &key;
        out.emplace(key, value);
    });
    EXPECT_EQ(out.size(), map.size());
    return out;
}

TEST(PersistentMap, AnEmptyOneHasNothing) {
    const PersistentMap<int, int> map;
    EXPECT_TRUE(map.empty());
    EXPECT_EQ(map.find(1), nullptr);
    EXPECT_EQ(map.erase(1).size(), 0U);
    EXPECT_TRUE(content(map).empty());
}

// One seeded run of random changes beside std::map; every version is kept, and all of them must still be
// right at the end.
template <class Key>
void compare_with_std(uint64_t seed, Key key) {
    using K = decltype(key(0));
    std::mt19937_64 random(seed);
    PersistentMap<K, int> map;
    std::map<K, int> model;
    std::vector<std::pair<PersistentMap<K, int>, std::map<K, int>>> versions;
    for (int i = 0; i < 3'000; ++i) {
        const K k = key(random() % 200);
        switch (random() % 4) {
            case 0:
            case 1:
                map = map.insert(k, i);
                model[k] = i;
                break;
            case 2:
                map = map.erase(k);
                model.erase(k);
                break;
            default: {
                const int* found = map.find(k);
                const auto at = model.find(k);
                ASSERT_EQ(found != nullptr, at != model.end());
                ASSERT_TRUE(!found || *found == at->second);
            }
        }
        ASSERT_EQ(map.size(), model.size());
        if (i % 50 == 0) versions.emplace_back(map, model);
    }
    for (const auto& [version, expected] : versions) ASSERT_EQ(content(version), expected);
}

TEST(PersistentMap, ItIsAMapAndOldVersionsStayAsTheyWere) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        compare_with_std(seed, [](uint64_t n) { return static_cast<int>(n); });
        compare_with_std(seed, [](uint64_t n) { return "name-" + std::to_string(n); });
    }
}

TEST(PersistentMap, ReplacingAValueKeepsTheOldOneForWhoHoldsIt) {
    const auto one = PersistentMap<std::string, int>().insert("a", 1);
    const int* const address = one.find("a");
    const auto two = one.insert("a", 2);
    EXPECT_EQ(one.find("a"), address);
    EXPECT_EQ(*address, 1);
    EXPECT_EQ(*two.find("a"), 2);
    EXPECT_EQ(two.size(), 1U);
    EXPECT_EQ(one.erase("absent").find("a"), address);  // nothing is copied for nothing
}

TEST(PersistentMap, KeysAreFoundByWhatComparesWithThem) {
    const auto map = PersistentMap<std::string, int>().insert("a", 1).insert("b", 2);
    ASSERT_NE(map.find(std::string_view("b")), nullptr);
    EXPECT_EQ(*map.find(std::string_view("b")), 2);
    EXPECT_EQ(map.erase(std::string_view("b")).size(), 1U);
}

// ---- cost, counted: comparisons for depth, copies for new nodes

struct Counted {
    int n = 0;
    static inline int comparisons = 0;
    static inline int copies = 0;
    Counted() = default;
    explicit Counted(int value) : n(value) {}
    Counted(const Counted& other) : n(other.n) { ++copies; }
    Counted& operator=(const Counted&) = default;
    Counted(Counted&&) noexcept = default;
    Counted& operator=(Counted&&) noexcept = default;
    bool operator<(const Counted& other) const {
        ++comparisons;
        return n < other.n;
    }
};

constexpr int many = 16'384;  // 2^14

PersistentMap<Counted, int> ascending() {
    PersistentMap<Counted, int> map;
    for (int i = 0; i < many; ++i) map = map.insert(Counted(i), i);
    return map;
}

// The most comparisons that finding one of `keys` takes.
int deepest(const PersistentMap<Counted, int>& map, const std::vector<int>& keys) {
    int most = 0;
    for (const int i : keys) {
        const Counted key(i);
        Counted::comparisons = 0;
        EXPECT_NE(map.find(key), nullptr);
        most = std::max(most, Counted::comparisons);
    }
    return most;
}

TEST(PersistentMap, WhateverTheOrderOfKeysItIsATreeAndNoList) {
    std::vector<int> keys(many);
    std::iota(keys.begin(), keys.end(), 0);
    std::vector<int> up = keys, down(keys.rbegin(), keys.rend()), mixed = keys;
    std::shuffle(mixed.begin(), mixed.end(), std::mt19937_64(1));
    for (const auto& order : {up, down, mixed}) {
        PersistentMap<Counted, int> map;
        for (const int i : order) map = map.insert(Counted(i), i);
        EXPECT_LE(deepest(map, order), 30);
        EXPECT_GE(deepest(map, order), 14);
        // Nor is one that is left over from a larger one.
        for (size_t i = 64; i < order.size(); ++i) map = map.erase(Counted(order[i]));
        EXPECT_LE(deepest(map, {order.begin(), order.begin() + 64}), 16);
    }
}

TEST(PersistentMap, AChangeCopiesALogarithmOfTheMap) {
    const auto map = ascending();
    int most = 0;
    for (int i = 0; i < many; i += 7) {
        Counted::copies = 0;
        const auto without = map.erase(Counted(i));
        most = std::max(most, Counted::copies);
        Counted::copies = 0;
        const auto with = without.insert(Counted(i), -1);
        most = std::max(most, Counted::copies);
    }
    EXPECT_LE(most, 120);
    EXPECT_GE(most, 14);
}

// ---- values that have their keys in them

struct Named {
    std::string name;
    int n = 0;
};
struct NameOf {
    const std::string& operator()(const std::shared_ptr<const Named>& value) const { return value->name; }
};

TEST(PersistentMap, KeysCanLieInTheValues) {
    PersistentMap<std::string, std::shared_ptr<const Named>, NameOf> map;
    std::weak_ptr<const Named> last;
    for (int i = 0; i < 1'000; ++i) {
        auto value = std::make_shared<const Named>(Named{"name-" + std::to_string(i * 7919 % 1'000), i});
        last = value;
        map = map.insert(std::move(value));
    }
    EXPECT_EQ(map.size(), 1'000U);
    auto old = map;
    map = map.insert(std::make_shared<const Named>(Named{"name-5", -1}));
    EXPECT_EQ(map.size(), 1'000U);
    EXPECT_EQ((*map.find("name-5"))->n, -1);
    EXPECT_NE((*old.find("name-5"))->n, -1);
    std::string before;
    map.for_each([&](const std::string& name, const std::shared_ptr<const Named>& value) {
        EXPECT_LT(before, name);
        EXPECT_EQ(&name, &value->name);
        before = name;
    });
    for (int i = 0; i < 1'000; ++i) map = map.erase("name-" + std::to_string(i));
    EXPECT_TRUE(map.empty());
    EXPECT_EQ(map.find("name-5"), nullptr);
    EXPECT_EQ(old.size(), 1'000U);
    EXPECT_FALSE(last.expired());
    // Nothing outlives the last map that has it.
    old = {};
    EXPECT_TRUE(last.expired());
}

TEST(PersistentMap, ReadersOfOldVersionsAndAWriterDoNotMeet) {
    PersistentMap<int, std::string> map;
    for (int i = 0; i < 500; ++i) map = map.insert(i, std::to_string(i));
    const auto reader = [old = map] {
        for (int round = 0; round < 20; ++round) {
            int n = 0;
            old.for_each([&](int key, const std::string& value) {
                EXPECT_EQ(std::to_string(key), value);
                ++n;
            });
            EXPECT_EQ(n, 500);
        }
    };
    std::thread one(reader), two(reader);
    for (int i = 0; i < 2'000; ++i) map = i % 2 ? map.erase(i % 500) : map.insert(i % 500, "new");
    one.join();
    two.join();
}

}  // namespace
}  // namespace gorb::base::persistent_map_test
