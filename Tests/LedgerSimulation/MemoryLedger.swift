import Fairness
import Ledger

/// A ledger of dictionaries: what a store's tables hold, and nothing clever.
package struct MemoryLedger: Sendable {
  package var liveKeys: Set<KeyID> = []
  /// Each account's daily quota, and the highest that each had.
  package private(set) var accounts: [AccountID: Int?] = [:]
  private var highestQuotas: [AccountID: Int] = [:]
  /// The quotas of keys that have one of their own, and what they count.
  package var keyQuotas: [KeyID: Int] = [:]
  package private(set) var keyUsage: [KeyUsageKey: Int] = [:]
  package private(set) var chains: [ChainKey: SeedChain] = [:]
  package private(set) var outcomes: [Outcome] = []
  package private(set) var testOutcomes: [TestDrawID: Outcome] = [:]
  package private(set) var records: [IdempotencyScope: IdempotencyRecord] = [:]
  package private(set) var usage: [UsageKey: Int] = [:]
  package private(set) var revealedSeeds: [Epoch: RevealedSeed] = [:]
  package private(set) var commitments: [CommitID: Commitment] = [:]
  /// Each account's enabled endpoints.
  package var webhooks: [AccountID: [WebhookSubscription]] = [:]
  package private(set) var deliveries: [NewDelivery] = []
  /// What a database's own constraints would have refused.
  package private(set) var violations: [String] = []
  private var places: Set<Place> = []
  /// Of every chain and commitment.
  private var chainNumbers: Set<Int64> = []

  package struct Place: Hashable {
    let chain: Int64
    let cursor: Int64
    let nonce: Int64
  }

  package struct Epoch: Hashable {
    let chain: Int64
    let number: Int
  }

  package init() {}

  package mutating func addAccount(_ account: Int64, dailyQuota: Int?) {
    setQuota(dailyQuota, of: AccountID(account), default: 1000)
  }

  package mutating func setQuota(_ quota: Int?, of account: AccountID, default common: Int) {
    accounts[account] = .some(quota)
    highestQuotas[account] = max(highestQuotas[account] ?? 0, quota ?? common)
  }

  package mutating func addKey(_ key: Int64, account: Int64) {
    liveKeys.insert(KeyID(key))
  }

  /// The server seed that `chain` drew from in an epoch of its own.
  private func seed(of chain: SeedChain, epoch: Int) -> ServerSeed? {
    epoch == chain.epoch ? chain.active.seed : revealedSeeds[Epoch(chain: chain.id, number: epoch)]?.seed
  }

  /// What `needs` names and nothing else, so that a decision that looks further goes wrong.
  package func snapshot(_ needs: Needs, now: Milliseconds) -> Snapshot {
    var snapshot = Snapshot(
      now: now, nextOutcome: Int64(outcomes.count + testOutcomes.count) + 1, nextChain: Int64(chainNumbers.count) + 1)
    snapshot.keys = liveKeys.intersection(needs.keys)
    for key in snapshot.keys {
      guard let quota = keyQuotas[key] else { continue }
      let used = keyUsage.first { $0.key.key == key && $0.key.day == Day(of: now) }?.value ?? 0
      snapshot.keyQuotas[key] = KeyQuota(dailyQuota: quota, usedToday: used)
    }
    for account in needs.accounts {
      guard let quota = account == .anonymous ? .some(nil) : accounts[account] else { continue }
      let used = Endpoint.allCases.reduce(0) {
        $0 + usage[UsageKey(account: account, day: Day(of: now), endpoint: $1), default: 0]
      }
      snapshot.accounts[account] = AccountQuota(dailyQuota: quota, usedToday: used)
    }
    for key in needs.chains { snapshot.chains[key] = chains[key] }
    for scope in needs.claims.keys { snapshot.records[scope] = records[scope] }
    for id in needs.testDraws { snapshot.testOutcomes[id] = testOutcomes[id] }
    for id in needs.commitments { snapshot.commitments[id] = commitments[id] }
    for account in needs.webhookAccounts { snapshot.webhooks[account] = webhooks[account] }
    return snapshot
  }

  /// Stores what was decided; see ``violations``.
  package mutating func apply(_ changes: Changes) {
    for chain in changes.movedChains {
      let before = chains.updateValue(chain, forKey: chain.key)
      if before?.id != chain.id || before?.active.seed != chain.active.seed {
        violations.append("chain \(chain.id) moved before it was made")
      }
    }
    for chain in changes.rotatedChains {
      let before = chains.updateValue(chain, forKey: chain.key)
      if before?.id != chain.id || before.map({ $0.epoch < chain.epoch }) != true {
        violations.append("chain \(chain.id) rotated from epoch \(before?.epoch ?? -1) to \(chain.epoch)")
      }
    }
    for chain in changes.newChains {
      let isNew = chain.key.owner.isNobody || chainNumbers.insert(chain.id).inserted
      if chains.updateValue(chain, forKey: chain.key) != nil || !isNew {
        violations.append("chain \(chain.id) made twice")
      }
    }
    for seed in changes.revealedSeeds {
      let epoch = Epoch(chain: seed.chain, number: seed.epoch)
      if revealedSeeds.updateValue(seed, forKey: epoch) != nil { violations.append("\(epoch) revealed twice") }
    }
    for commitment in changes.newCommitments {
      let isNew = chainNumbers.insert(commitment.chain).inserted
      if commitments.updateValue(commitment, forKey: commitment.id) != nil || !isNew {
        violations.append("commitment \(commitment.id) made twice")
      }
    }
    for commitment in changes.usedCommitments {
      let before = commitments.updateValue(commitment, forKey: commitment.id)
      if before == nil || before?.use != nil || commitment.use == nil {
        violations.append("commitment \(commitment.id) used twice")
      }
    }
    for outcome in changes.outcomes {
      let place = Place(chain: outcome.chain, cursor: outcome.cursor, nonce: outcome.nonce)
      if !places.insert(place).inserted { violations.append("\(place) used twice") }
      outcomes.append(outcome)
    }
    for (id, outcome) in changes.testOutcomes where testOutcomes.updateValue(outcome, forKey: id) != nil {
      violations.append("test outcome \(outcome.id) recorded twice")
    }
    for record in changes.records { records[record.scope] = record }
    for (key, count) in changes.usage { usage[key, default: 0] += count }
    for (key, count) in changes.keyUsage { keyUsage[key, default: 0] += count }
    deliveries += changes.deliveries
    deliveries += changes.accountEvents.map { NewDelivery(endpoint: $0.endpoint, outcome: 0, created: $0.created) }
  }

  /// Deletes expired records and commitments, as a store's sweep does.
  package mutating func sweep(at now: Milliseconds) {
    records = records.filter { now - $0.value.created < day }
    commitments = commitments.filter { $0.value.use != nil || now - $0.value.expires < Commitment.afterlife }
  }

  /// What does not hold of this ledger and must hold of any, however it came about.
  package func audit() -> [String] {
    var found = violations
    func expect(_ condition: Bool, _ otherwise: String) { if !condition { found.append(otherwise) } }
    // Row numbers, and with them short ids: all different, none left out.
    let ids = outcomes.map(\.id) + testOutcomes.values.map(\.id)
    expect(ids.sorted() == Array(1..<(Int64(ids.count) + 1)), "row numbers are not 1 to \(ids.count)")
    expect(Set(ids.map(shortIDs.encode)).count == ids.count, "short ids are not all different")

    // Coordinates: each chain's nonces run 0…n−1 in the order of its outcomes over all its epochs, its cursor and its
    // epoch only grow, and it stands after its last outcome.
    var positions: [Int64: (epoch: Int, cursor: Int64, nonce: Int64)] = [:]
    let byID = Dictionary(uniqueKeysWithValues: chains.values.map { ($0.id, $0) })
    auditSeeds(byID, expect)
    let commitmentsByChain = Dictionary(uniqueKeysWithValues: commitments.values.map { ($0.chain, $0) })
    var used: [UsageKey: Int] = [:]
    for outcome in outcomes {
      guard let chain = byID[outcome.chain] else {
        found.append("outcome \(outcome.id) is of no chain")
        continue
      }
      let last = positions[chain.id] ?? (epoch: 0, cursor: 0, nonce: -1)
      let place = (epoch: outcome.epoch, cursor: outcome.cursor, nonce: outcome.nonce)
      if place.nonce != last.nonce + 1 || place.cursor < last.cursor || place.epoch < last.epoch {
        found.append("chain \(chain.id) goes from \(last) to \(place)")
      }
      positions[chain.id] = place
      if outcome.serverHash != seed(of: chain, epoch: outcome.epoch)?.hash || outcome.clientSeed != chain.key.clientSeed
      {
        found.append("outcome \(outcome.id) was not drawn from its chain")
      }
      // No draw was made from a seed after it was told, but the one it was told with.
      if let revealed = revealedSeeds[Epoch(chain: chain.id, number: outcome.epoch)],
        (outcome.cursor, outcome.nonce) >= (revealed.cursor, revealed.nonce)
      {
        found.append("outcome \(outcome.id) was drawn from a seed that was no secret")
      }
      let owner = commitmentsByChain[chain.id]?.owner ?? chain.key.owner
      used[
        UsageKey(account: AccountID(owner.rawValue), day: Day(of: outcome.created), endpoint: outcome.endpoint),
        default: 0] += 1
    }
    for chain in chains.values {
      let last = positions[chain.id] ?? (epoch: 0, cursor: 0, nonce: -1)
      if chain.nonce != last.nonce + 1 || chain.cursor < last.cursor {
        found.append("chain \(chain.id) stands at \((chain.cursor, chain.nonce)) after \(last)")
      }
    }

    // Usage is what was drawn, and within the quota.
    expect(used == usage, "usage is not what was drawn")
    var daily: [[Int64]: Int] = [:]
    for (key, count) in usage where key.account != .anonymous {
      daily[[key.account.rawValue, key.day.number], default: 0] += count
    }
    for (key, count) in daily {
      let quota = highestQuotas[AccountID(key[0])] ?? 0
      if count > quota { found.append("account \(key[0]) drew \(count) of \(quota) on day \(key[1])") }
    }
    return found
  }

  /// Every epoch of every chain has a seed of its own, known by its hash; every epoch but the last has been told, where
  /// the next one went on; a commitment is one outcome, or none.
  private func auditSeeds(_ byID: [Int64: SeedChain], _ expect: (Bool, String) -> Void) {
    var seeds: [String] = []
    for chain in chains.values {
      var last = (cursor: Int64(0), nonce: Int64(0))
      for epoch in 0..<chain.epoch {
        guard let revealed = revealedSeeds[Epoch(chain: chain.id, number: epoch)] else {
          expect(false, "epoch \(epoch) of chain \(chain.id) was not told")
          continue
        }
        if revealed.seed.hash != revealed.hash || (revealed.cursor, revealed.nonce) < last {
          expect(false, "epoch \(epoch) of chain \(chain.id) was told wrongly")
        }
        last = (revealed.cursor, revealed.nonce)
        seeds.append(revealed.seed.description)
      }
      seeds.append(chain.active.seed.description)
    }
    let rotations = chains.values.reduce(0) { $0 + $1.epoch }
    let live = commitments.values.filter { byID[$0.chain] != nil }
    expect(revealedSeeds.count == rotations + live.count, "\(revealedSeeds.count) seeds were revealed")
    expect(live.count == chains.keys.filter(\.owner.isNobody).count, "\(live.count) commitments became chains")
    for commitment in commitments.values {
      let chain = byID[commitment.chain]
      let revealed = revealedSeeds[Epoch(chain: commitment.chain, number: 0)]
      if let chain {
        if chain.key.owner.rawValue != -commitment.chain || chain.epoch != 0 || (chain.cursor, chain.nonce) != (0, 1)
          || revealed?.seed != commitment.active.seed || revealed?.revealed != commitment.use?.revealed
          || commitment.use == nil
        {
          expect(false, "commitment \(commitment.id) became another chain")
        }
      } else {
        if revealed != nil { expect(false, "commitment \(commitment.id) was told without a draw") }
        seeds.append(commitment.active.seed.description)
      }
    }
    expect(Set(seeds).count == seeds.count, "two epochs have one server seed")
  }
}
