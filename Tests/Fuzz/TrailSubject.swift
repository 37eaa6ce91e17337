import Ledger

/// What a chain's row says of its outcomes: what is read is written the same way, and the next outcome can be appended.
struct TrailSubject: Subject {
  let name = "trail"
  let tokens = ["\u{1}", "\u{7f}"]

  func check(_ input: [UInt8]) throws -> Bool {
    guard var trail = OutcomeTrail(input) else { return false }
    try expect(OutcomeTrail(trail.bytes) == trail, "another trail when it was written")
    guard let newest = trail.newest, newest < 1 << 53, trail.count < SeedChain.largestCoordinate else { return true }
    let links = trail.append(newest + 1)
    try expect(links.previous == newest, "the next outcome does not lead to the newest")
    try expect(trail.newest == newest + 1, "the next outcome is not the newest")
    try expect(OutcomeTrail(trail.bytes) == trail, "another trail when the next outcome was written")
    return true
  }
}
