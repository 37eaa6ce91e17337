import Fairness
import Foundation
import Ledger
import Testing
import Transparency

private let day = Day("2026-02-28")!
private let signer = try! RootSigner(masterKey: masterKey)

private func outcome(_ number: Int) -> LogLeaf {
  LogLeaf(
    clientSeed: try! ClientSeed("seed \(number)"), cursor: 0, nonce: Int64(number),
    serverHash: try! ServerHash(bytes: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 32)),
    created: day.start + Int64(number)
  )
}

/// A day of `count` outcomes, as it is published.
private func makeDay(_ count: Int, previousRoot: MerkleHash? = nil) throws -> (
  day: PublishedDay, leaves: [MerkleHash]
) {
  let leaves = (0..<count).map { outcome($0).hash }
  var tree = MerkleTree()
  for leaf in leaves { tree.append(leaf) }
  let root = tree.root()
  let statement = RootStatement(
    date: day.description, root: root?.description ?? "", leafCount: count,
    previousRoot: previousRoot?.description ?? "")
  return (
    PublishedDay(
      day: day, root: root, leafCount: count, previousRoot: previousRoot, signature: try signer.sign(statement),
      publishedAt: day.end),
    leaves
  )
}

private func json(_ day: PublishedDay, _ changes: (String, String)...) -> [UInt8] {
  var text = """
    {"date":"\(day.day)","root":"\(day.root?.description ?? "")","leafCount":\(day.leafCount),"treeHeight":\(day.shape.height),\
    "publishedAt":\(day.publishedAt),"previousRoot":"\(day.previousRoot?.description ?? "")",\
    "signature":"\(Data(day.signature).base64EncodedString())"}
    """
  for (old, new) in changes { text = text.replacingOccurrences(of: old, with: new) }
  return Array(text.utf8)
}

/// The names of what does not hold.
private func faults(
  _ claim: DayClaim, _ leaves: [MerkleHash], previous: DayAudit.Previous = .unknown, own: OwnOutcomes? = nil,
  key: [UInt8] = signer.publicKey
) -> [String] {
  var audit = DayAudit(claim, own: own)
  for leaf in leaves { audit.add(leaf) }
  return audit.findings(previous: previous, publicKey: key).filter { $0.fault != nil }.map(\.name)
}

@Suite struct DayAuditTests {
  @Test(arguments: [0, 1, 2, 3, 300]) func anHonestDayHolds(count: Int) throws {
    let (published, leaves) = try makeDay(count)
    let claim = try #require(try DayClaim.find(day, in: json(published)))
    #expect(claim == DayClaim(published))
    #expect(faults(claim, leaves).isEmpty)
  }

  @Test func changedLeavesAreNoticed() throws {
    let (published, leaves) = try makeDay(10)
    let claim = DayClaim(published)
    var swapped = leaves
    swapped.swapAt(3, 4)
    #expect(faults(claim, swapped) == ["root"])
    #expect(faults(claim, Array(leaves.dropLast())) == ["leafCount", "root"])
    #expect(faults(claim, []) == ["leafCount", "treeHeight", "root"])
    #expect(faults(claim, leaves + [leaves[9]]) == ["leafCount", "root"])
    // Three leaves and the same with the last twice have one root; the count tells them apart.
    let three = try makeDay(3)
    #expect(faults(DayClaim(three.day), three.leaves + [three.leaves[2]]) == ["leafCount"])
  }

  @Test func changedClaimsAreNoticed() throws {
    let (published, leaves) = try makeDay(10)
    func claim(_ changes: (String, String)) throws -> DayClaim {
      try #require(try DayClaim.find(day, in: json(published, changes)))
    }
    let root = published.root!.description
    #expect(faults(try claim((root, String(root.reversed()))), leaves) == ["root", "signature"])
    #expect(faults(try claim(("\"leafCount\":10", "\"leafCount\":11")), leaves) == ["leafCount", "signature"])
    #expect(faults(try claim(("\"treeHeight\":4", "\"treeHeight\":5")), leaves) == ["treeHeight"])
    #expect(faults(try claim(("\"previousRoot\":\"\"", "\"previousRoot\":\"\(root)\"")), leaves) == ["signature"])
    let signature = Data(published.signature).base64EncodedString()
    #expect(faults(try claim((signature, "nonsense")), leaves) == ["signature"])
    #expect(
      faults(DayClaim(published), leaves, key: try RootSigner(masterKey: MasterKey(bytes: Array(2...33))).publicKey)
        == ["signature"])
  }

  @Test func theDayBeforeIsHeldAgainstIt() throws {
    let before = MerkleHash.leaf([1])
    let (published, leaves) = try makeDay(2, previousRoot: before)
    #expect(faults(DayClaim(published), leaves, previous: .root(before.description)).isEmpty)
    #expect(faults(DayClaim(published), leaves, previous: .root(MerkleHash.leaf([2]).description)) == ["previousRoot"])
    #expect(faults(DayClaim(published), leaves, previous: .root("")) == ["previousRoot"])
    #expect(faults(DayClaim(published), leaves, previous: .none) == ["previousRoot"])
    let first = try makeDay(2)
    #expect(faults(DayClaim(first.day), first.leaves, previous: .none).isEmpty)
    #expect(faults(DayClaim(first.day), first.leaves, previous: .root("")).isEmpty)
  }

  @Test func whatDiffersIsSaid() throws {
    let (published, leaves) = try makeDay(10)
    var audit = DayAudit(DayClaim(published))
    for leaf in leaves.dropLast() { audit.add(leaf) }
    let findings = audit.findings(previous: .unknown, publicKey: signer.publicKey)
    #expect(findings.first { $0.name == "leafCount" }?.fault == "the day claims 10, but its leaves give 9")
    let root = try #require(findings.first { $0.name == "root" }?.fault)
    #expect(root.contains(published.root!.description))
  }

  // MARK: One's own outcomes

  private func own(_ text: String) throws -> OwnOutcomes { try OwnOutcomes(Array(text.utf8), day: day) }

  private func answer(_ leaf: LogLeaf, mode: String = "live") -> String {
    """
    {"outcome":[1],"clientSeed":"\(leaf.clientSeed)","cursor":\(leaf.cursor),"nonce":\(leaf.nonce),\
    "serverHash":"\(leaf.serverHash)","created":\(leaf.created),"mode":"\(mode)"}
    """
  }

  @Test func ownOutcomesAreLookedFor() throws {
    let (published, leaves) = try makeDay(10)
    let texts = [2, 7].map { answer(outcome($0)) }
    let canonical = "{\"index\":3,\"canonical\":\"\(String(decoding: outcome(3).canonical, as: UTF8.self))\"}"
    for file in [
      "[\(texts.joined(separator: ", "))]", texts.joined(separator: "\n"), texts.joined(separator: "\r\n") + "\r\n\n",
      canonical + "\n" + texts[0],
    ] {
      #expect(faults(DayClaim(published), leaves, own: try own(file)).isEmpty)
    }
    #expect(faults(DayClaim(published), leaves, own: try own(answer(outcome(10)))) == ["outcomes"])
    // Nothing to look for is no pass.
    for nothing in ["[]", "", "\n"] {
      #expect(faults(DayClaim(published), leaves, own: try own(nothing)) == ["outcomes"])
    }
    let altered = texts[0].replacingOccurrences(of: "\"nonce\":2", with: "\"nonce\":3")
    var audit = DayAudit(DayClaim(published), own: try own(altered + "\n" + texts[1]))
    for leaf in leaves { audit.add(leaf) }
    let fault = try #require(
      audit.findings(previous: .unknown, publicKey: signer.publicKey).first { $0.name == "outcomes" }?.fault)
    #expect(fault.hasPrefix("1 of 2 are not in the log: seed 2:0:3|"))
  }

  @Test func outcomesOfOtherDaysAndOfTestModeAreLeftOut() throws {
    let other = LogLeaf(
      clientSeed: outcome(1).clientSeed, cursor: 0, nonce: 1, serverHash: outcome(1).serverHash, created: day.end)
    let file = [answer(outcome(1)), answer(other), answer(outcome(2), mode: "test")].joined(separator: "\n")
    let own = try own(file)
    #expect(own.leaves.count == 1 && own.ofOtherDays == 1 && own.ofTestMode == 1)
  }

  @Test(arguments: [
    "{", "[1]", "17", "{}", "{\"clientSeed\":\"a\"}", "{\"canonical\":\"a|b\"}",
    "[{\"clientSeed\":\"a\",\"serverHash\":\"00\"}]",
  ])
  func whatIsNoOutcomeIsRefused(file: String) {
    #expect(throws: OwnOutcomes.Unreadable.self) { try own(file) }
  }

  // MARK: Reading

  @Test func aRootIsFoundAmongSeveral() throws {
    let (published, _) = try makeDay(1)
    let both =
      Array("{\"roots\":[".utf8) + json(published, ("2026-02-28", "2026-03-01")) + [UInt8(ascii: ",")] + json(published)
      + Array("]}".utf8)
    #expect(try DayClaim.find(day, in: both) == DayClaim(published))
    #expect(try DayClaim.find(day.next, in: both)?.date == "2026-03-01")
    #expect(try DayClaim.find(day.previous, in: both) == nil)
    #expect(try DayClaim.find(day.next, in: json(published)) == nil)
    for text in ["", "{", "[]", "{}", "{\"roots\":[{}]}"] {
      #expect(throws: UnreadableClaim.self, "\(text)") { try DayClaim.find(day, in: Array(text.utf8)) }
    }
  }

  @Test(arguments: [1, 3, 64, 65, 1000]) func leavesAreReadInAnyPieces(size: Int) throws {
    let hashes = (0..<20).map { outcome($0).hash }
    for end in ["\n", ""] {
      let text = Array((hashes.map(\.description).joined(separator: "\n") + end).utf8)
      var lines = LeafLines()
      var read: [MerkleHash] = []
      for start in stride(from: 0, to: text.count, by: size) {
        try lines.read(text[start..<min(start + size, text.count)]) { read.append($0) }
      }
      try lines.finish { read.append($0) }
      #expect(read == hashes)
    }
  }

  @Test func aLineThatIsNoHashIsNamed() throws {
    let good = outcome(1).hash.description
    for bad in [
      "", "x" + good.dropFirst(), String(good.dropLast()), good + "0", good + "\r\r",
      String(repeating: "0", count: 10_000),
    ] {
      var lines = LeafLines()
      #expect(throws: LeafLines.Unreadable(line: 2), "\(bad)") {
        try lines.read("\(good)\n\(bad)\n\(good)\n".utf8) { _ in }
      }
    }
    var lines = LeafLines()
    try lines.read("\(good)\nabc".utf8) { _ in }
    #expect(throws: LeafLines.Unreadable(line: 2)) { try lines.finish { _ in } }
  }
}
