import Accounts
import Fairness
import Foundation
import Ledger
import Transparency

/// What `fairdraw doctor` asks of an open database.
struct StoreChecks {
  let opened: (store: any Store, masterKey: MasterKey, place: String)
  let folder: URL
  let witnesses: [WitnessAddress]
  /// The cell that the settings name.
  let cell: CellName?

  private var store: any Store { opened.store }

  func run(_ diagnosis: inout Diagnosis) async throws {
    try diagnosis.add(.ok, "database", "\(try store.databaseVersion()), \(opened.place)")
    try checkSync(&diagnosis)
    try checkClock(&diagnosis)
    try await checkAccounts(&diagnosis)
    try await checkCell(&diagnosis)
    try await checkLog(&diagnosis)
    try await checkDeliveries(&diagnosis)
  }

  /// How long a small durable write takes: the median of five.
  private func checkSync(_ diagnosis: inout Diagnosis) throws {
    var times: [Double] = []
    for _ in 0..<5 {
      let began = ContinuousClock.now
      try store.probe()
      times.append((.now - began) / .milliseconds(1))
    }
    let median = times.sorted()[2]
    let text = "a durable write takes \(String(format: "%.1f", median)) ms"
    if median <= 50 {
      try diagnosis.add(.ok, "sync time", text)
    } else {
      try diagnosis.add(.warning, "sync time", "\(text): draws wait for it; use a faster disk")
    }
  }

  private func checkClock(_ diagnosis: inout Diagnosis) throws {
    let before = LedgerWriter.wallClock()
    let scope = try store.auditScope()
    let after = LedgerWriter.wallClock()
    let difference = scope.now < before ? before - scope.now : max(0, scope.now - after)
    if difference <= 1000 {
      try diagnosis.add(.ok, "clock", "this machine's and the database's differ by \(difference) ms")
    } else {
      try diagnosis.add(
        .warning, "clock", "this machine's and the database's differ by \(difference / 1000) s: set both by NTP")
    }
    guard scope.lastOutcome > 0 else { return }
    let newest = try store.auditOutcomes(after: scope.lastOutcome - 1, through: scope.lastOutcome).first?.row.get()
    if let newest, newest.outcome.created > scope.now + 10_000 {
      try diagnosis.add(
        .warning, "clock",
        "the newest outcome is dated \((newest.outcome.created - scope.now) / 1000) s ahead: outcomes are dated by it until "
          + "the clock has caught up")
    }
  }

  private func checkAccounts(_ diagnosis: inout Diagnosis) async throws {
    let keys = try await store.keys(of: nil).map(\.key)
    let (active, accounts) = (keys.filter { $0.revoked == nil }, try await store.accounts().count)
    let live = active.filter { $0.mode == .live }.count
    try diagnosis.add(
      .ok, "keys",
      "\(accounts) accounts with \(live) live and \(active.count - live) test keys; \(keys.count - active.count) revoked"
    )
  }

  private func checkCell(_ diagnosis: inout Diagnosis) async throws {
    let kept = try await store.cell()
    if let kept, let cell, kept != cell {
      try diagnosis.add(.warning, "cell", "the database is cell \(kept), but the setting cell is \(cell)")
    } else if let kept {
      try diagnosis.add(.ok, "cell", "the database is cell \(kept): new API keys carry this name")
    }
  }

  private func checkLog(_ diagnosis: inout Diagnosis) async throws {
    let era = store.seeds.era
    do throws(StoreFailure) {
      try LogHistory(store: store, era: era, folder: folder).check()
    } catch {
      return try diagnosis.add(.wrong, "log", error.description)
    }
    guard let log = try store.log(of: era), let checkpoint = try await store.checkpoint(of: era) else {
      return try diagnosis.add(.ok, "log", "era \(era); it begins with the server's first start")
    }
    let queued = try store.queuedEntries()
    let waiting = "\(queued.groups.count)\(queued.hasMore ? " or more" : "") groups of entries wait"
    if queued.hasMore {
      try diagnosis.add(.warning, "log", "\(waiting) for it: is a server running that uses this database?")
    } else {
      try diagnosis.add(.ok, "log", "era \(era), \(log.signedSize) entries signed; \(waiting)")
    }
    let cosigned = try await store.cosignedCheckpoint(of: era)
    for witness in witnesses {
      let name = witness.key.name
      if let cosigned, cosigned.text.contains("\n\u{2014} \(name) ") {
        try diagnosis.add(.ok, "witness", "\(name) has cosigned \(cosigned.size) of \(checkpoint.size) entries")
      } else {
        try diagnosis.add(
          .warning, "witness", "\(name) has not cosigned the newest cosigned checkpoint: see the server's log")
      }
    }
  }

  private func checkDeliveries(_ diagnosis: inout Diagnosis) async throws {
    let pending = try await store.pendingDeliveries()
    try diagnosis.add(
      pending < 10_000 ? .ok : .warning, "webhooks",
      "\(pending) deliveries are pending"
        + (pending < 10_000 ? "" : ": see fairdraw webhook list for which do not respond"))
  }
}
