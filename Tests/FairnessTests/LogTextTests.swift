import Crypto
import Fairness
import Testing

private func hex(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
private func sha256(_ text: String) -> String { hex(SHA256.hash(data: Array(text.utf8))) }

@Suite struct LogTextTests {
  @Test func anOutcome() throws {
    var text: [UInt8] = []
    LogText.append(
      outcome: Array("aB3x".utf8), created: 1_767_225_600_123, endpoint: "pick", serverHash: fixedSeed.hash,
      cursor: 3, nonce: 41, clientSeed: try ClientSeed("é:|7"), items: Array(#"["a","b"]"#.utf8),
      fields: Array(#""count":1"#.utf8), count: 0..<9, value: Array(#"{"index":1,"item":"b"}"#.utf8), to: &text)
    #expect(
      String(decoding: text, as: UTF8.self) == """
        fairdraw/outcome/v1
        aB3x
        1767225600123
        pick
        \(fixedSeed.hash)
        3
        41
        \(sha256("é:|7"))
        \(sha256(#"["a","b"]"#))
        {}
        {"index":1,"item":"b"}

        """)
  }

  @Test func anOutcomeWithoutItems() throws {
    let fields = Array(#""min":1,"max":100"#.utf8)
    var text = Array("before".utf8)
    LogText.append(
      outcome: Array("k".utf8), created: 0, endpoint: "ints", serverHash: fixedSeed.hash, cursor: 0, nonce: 0,
      clientSeed: fixedClientSeed, items: nil, fields: fields, count: 0..<0, value: Array("[7]".utf8),
      to: &text)
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines[0] == "beforefairdraw/outcome/v1")
    #expect(lines.count == 12 && lines[11].isEmpty)
    #expect(lines[8].isEmpty && lines[9] == #"{"min":1,"max":100}"# && lines[10] == "[7]")
  }

  @Test func aCommitmentAndAReveal() throws {
    let commitment = LogText.commitment(
      commitID: Array("c7".utf8), serverHash: fixedSeed.hash, created: 5, expiresAt: 60_005)
    #expect(
      String(decoding: commitment, as: UTF8.self) == "fairdraw/commitment/v1\nc7\n\(fixedSeed.hash)\n5\n60005\n")
    let extremes = LogText.commitment(
      commitID: [], serverHash: fixedSeed.hash, created: .max, expiresAt: .min)
    #expect(
      String(decoding: extremes, as: UTF8.self)
        == "fairdraw/commitment/v1\n\n\(fixedSeed.hash)\n\(Int64.max)\n\(Int64.min)\n")
    let reveal = LogText.reveal(
      serverHash: fixedSeed.hash, serverSeed: fixedSeed, clientSeed: fixedClientSeed, cursor: 1, nonce: 9, revealed: 77)
    #expect(
      String(decoding: reveal, as: UTF8.self)
        == "fairdraw/reveal/v1\n\(fixedSeed.hash)\n\(fixedSeed.description)\n\(sha256("statistics"))\n1\n9\n77\n")
  }
}

@Suite struct LogEntryTests {
  private static let digest = LogDigest(of: Array("text".utf8))
  private static let a = String(repeating: "0a", count: 32)
  private static let b = String(repeating: "fe", count: 32)

  @Test func aDigestIsTheSHA256() throws {
    #expect(Self.digest.description == sha256("text"))
    #expect(try LogDigest(bytes: Self.digest.bytes) == Self.digest)
    #expect(try LogDigest(hex: Self.digest.description.utf8) == Self.digest)
    #expect(LogDigest(of: []) != Self.digest)
    #expect(throws: InvalidHash.self) { try LogDigest(bytes: Self.digest.bytes + [0]) }
    #expect(throws: InvalidHash.self) { try LogDigest(hex: Self.digest.description.uppercased().utf8) }
  }

  @Test func areWrittenAndRead() throws {
    let root = try MerkleHash(hex: Self.a.utf8)
    let entries: [(LogEntry, String)] = [
      (.commit(Self.digest), "commit \(Self.digest)"),
      (.draw(Self.digest), "draw \(Self.digest)"),
      (.reveal(Self.digest), "reveal \(Self.digest)"),
      (
        .keys(era: 12, vrf: Array(repeating: 10, count: 32), daily: Array(repeating: 254, count: 32)),
        "keys era=12 vrf=\(Self.a) daily=\(Self.b)"
      ),
      (.root(date: "2026-11-26", root: root, leafCount: 70_000), "root 2026-11-26 \(Self.a) 70000"),
      (.root(date: "2024-02-29", root: nil, leafCount: 0), "root 2024-02-29 - 0"),
    ]
    for (entry, line) in entries {
      #expect(String(decoding: entry.bytes, as: UTF8.self) == line)
      #expect(LogEntry(line.utf8) == entry)
    }
  }

  @Test func anythingElseIsRefused() {
    let (a, b, digest) = (Self.a, Self.b, Self.digest.description)
    for line in [
      "", " ", "draw", "draw ", "draw \(a) ", " draw \(a)", "draw  \(a)", "draw \(a)\n", "Draw \(a)", "drew \(a)",
      "draw \(a.dropLast())", "draw \(a)0", "draw \(digest.uppercased())", "draw \(a.dropLast())g", "draw -",
      "keys era=1 vrf=\(a)", "keys era=01 vrf=\(a) daily=\(b)", "keys era=-1 vrf=\(a) daily=\(b)",
      "keys era= vrf=\(a) daily=\(b)", "keys vrf=\(a) era=1 daily=\(b)", "keys era=1 vrf=\(a.uppercased()) daily=\(b)",
      "keys era=99999999999999999999 vrf=\(a) daily=\(b)", "keys era=1 vrf=\(a) daily=\(b)00",
      "root 2026-11-26 \(a)", "root 2026-11-26 \(a) 0", "root 2026-11-26 - 1", "root 2026-11-26  0",
      "root 2026-13-01 - 0", "root 2026-00-01 - 0", "root 2026-02-29 - 0", "root 2100-02-29 - 0", "root 2026-11-31 - 0",
      "root 2026-11-00 - 0", "root 26-11-26 - 0", "root 2026-1-26 - 0", "root 2026/11/26 - 0", "root +026-11-26 - 0",
      "root 2026-11-26 \(a) 01", "root 2026-11-26 \(a) -1", "root 2026-11-26 \(a) 1 ",
      String(repeating: "draw ", count: 1000),
    ] { #expect(LogEntry(line.utf8) == nil, "\(line)") }
  }
}
