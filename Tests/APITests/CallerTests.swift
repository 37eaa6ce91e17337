import API
import Foundation
import Ledger
import Testing

private let live = "pk_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
private let other = "pk_test_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"

private func basic(_ text: String) -> String { "Basic " + Data(text.utf8).base64EncodedString() }

@Suite struct PresentedKeyTests {
  @Test(
    arguments: [
      "Bearer \(live)", "bearer \(live)", "BEARER  \(live)", "Bearer\t\(live)", "Bearer \(live) \t",
    ])
  func aBearerTokenIsAKey(authorization: String) {
    #expect(PresentedKey(apiKey: nil, authorization: authorization) == .key(live))
    #expect(PresentedKey(apiKey: live, authorization: authorization) == .key(live))
    #expect(PresentedKey(apiKey: other, authorization: authorization) == .misplaced)
  }

  @Test(
    arguments: [
      live, other, "Token \(live)", "token \(other)", "ApiKey \(live)", "Key=\(live)", "Bearer\(live)",
      "Digest username=\"\(live)\"", "pk_live_", basic("\(live):"), basic(live), basic(":\(live)"),
      basic("user:\(other)"), basic("\(live):x").replacingOccurrences(of: "=", with: ""),
      "basic  " + basic(live).dropFirst(6),
      "Negotiate a, \(basic(live))", "Token token=\"\(live)\"",
    ])
  func aKeyThatIsSentInAnotherWayIsMisplaced(authorization: String) {
    #expect(PresentedKey(apiKey: nil, authorization: authorization) == .misplaced)
    #expect(PresentedKey(apiKey: "pk_live_x", authorization: authorization) == .misplaced)
  }

  @Test(arguments: [
    basic("user:password"), "Negotiate abc==", "Digest username=\"me\"", "Basic", "", "Token abc", "Basic !!!!",
  ])
  func whatIsMeantForOthersIsNoKey(authorization: String) {
    #expect(PresentedKey(apiKey: nil, authorization: authorization) == .none)
    #expect(PresentedKey(apiKey: live, authorization: authorization) == .key(live))
  }

  @Test func anEmptyKeyIsAKeyThatNobodyHas() {
    #expect(PresentedKey(apiKey: "", authorization: nil) == .key(""))
    #expect(PresentedKey(apiKey: nil, authorization: "Bearer") == .key(""))
    #expect(PresentedKey(apiKey: nil, authorization: "Bearer  ") == .key(""))
    #expect(PresentedKey(apiKey: nil, authorization: "Bearer what ever") == .key("what ever"))
    #expect(PresentedKey(apiKey: live, authorization: "Bearer somebody-elses") == .key(live))
    #expect(PresentedKey(apiKey: nil, authorization: nil) == .none)
  }
}

@Suite struct ForwardedForTests {
  @Test(
    arguments: [
      ("192.0.2.1", "192.0.2.1"), (" \t192.0.2.1\t ", "192.0.2.1"), ("192.0.2.1:4711", "192.0.2.1"),
      ("192.0.2.1:0", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1"),
      ("[2001:DB8::1]:4711", "2001:db8::1"), ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
      ("fe80::1%eth0", "fe80::1"), ("[fe80::1%25eth0]:80", "fe80::1"), ("::ffff:192.0.2.1", "192.0.2.1"),
      ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
    ])
  func anEntryIsReadAsProxiesWriteIt(entry: String, address: String) {
    #expect(NetworkAddress(forwarded: entry)?.description == address)
  }

  @Test(
    arguments: [
      "", " ", "unknown", "_hidden", "192.0.2", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:+80", "192.0.2.1:65536",
      "192.0.2.1 x", "192.0.2.1%eth0", "[192.0.2.1]", "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]80",
      "[2001:db8::1]:", "[]", ":80", "%eth0", "[%eth0]", "192.0.2.1/24", "192.0.2.1;192.0.2.2", "0x7f.1", "192.0.2.01",
    ])
  func whatIsNoAddressIsNone(entry: String) {
    #expect(NetworkAddress(forwarded: entry) == nil)
  }

  @Test(
    arguments: [
      (["192.0.2.1"], "192.0.2.1"), (["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
      (["198.51.100.1", "192.0.2.1:80"], "192.0.2.1"), (["192.0.2.1,\t[2001:db8:9::1]:443"], "192.0.2.1"),
      (["192.0.2.1, 10.9.1.1, 2001:db8:9::1%eth0,"], "192.0.2.1"), (["192.0.2.1, unknown"], "10.0.0.1"),
      (["192.0.2.1, unknown, 10.9.1.1"], "10.9.1.1"), (["10.9.1.2, 10.9.1.1"], "10.9.1.2"), ([], "10.0.0.1"),
      ([""], "10.0.0.1"), ([", ,"], "10.0.0.1"),
    ])
  func theClientIsTheLastThatIsNoTrustedProxy(headers: [String], client: String) throws {
    let trusted = try ["10.0.0.0/8", "2001:db8:9::/48"].map { try #require(Network($0)) }
    let peer = try #require(NetworkAddress("10.0.0.1"))
    #expect(TrustedProxies(networks: trusted).client(forwardedFor: headers, peer: peer)?.description == client)
    #expect(TrustedProxies(networks: []).client(forwardedFor: headers, peer: peer) == peer)
    let stranger = try #require(NetworkAddress("203.0.113.9"))
    #expect(TrustedProxies(networks: trusted).client(forwardedFor: headers, peer: stranger) == stranger)
    #expect(TrustedProxies(networks: trusted).client(forwardedFor: headers, peer: nil) == nil)
  }
}

@Suite struct RefererPatternTests {
  @Test(
    arguments: [
      ("https://example.com", "https://example.com/a?b#c", true), ("https://example.com", "HTTPS://EXAMPLE.COM", true),
      ("https://example.com", "https://example.com:443/", true),
      ("https://example.com", "https://example.com:444/", false),
      ("https://example.com", "http://example.com/", false),
      ("https://example.com", "https://example.com.evil/", false),
      ("https://example.com", "https://evil/https://example.com", false),
      ("https://example.com", "https://u@example.com/", false),
      ("https://example.com", "https://www.example.com/", false), ("https://example.com", "null", false),
      ("https://*.example.com", "https://www.example.com/", true),
      ("https://*.example.com", "https://a.b.example.com", true),
      ("https://*.example.com", "https://example.com/", false),
      ("https://*.example.com", "https://evilexample.com", false),
      ("http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080/x", true),
      ("http://[2001:db8::1]", "http://[2001:db8::2]/", false),
      ("https://example.com", "https://example.com\\.evil", false), ("https://example.com", "", false),
      ("https://example.com", "https://example.com, https://evil.example", false),
    ])
  func anOriginIsComparedWhole(pattern: String, referer: String, isAllowed: Bool) throws {
    #expect(try #require(RefererPattern(pattern)).allows(referer) == isAllowed)
  }

  @Test(
    arguments: [
      "", "example.com", "ftp://example.com", "https://", "https://example.com/", "https://example.com/a",
      "https://a.*.example.com", "https://*", "https://*.", "https://u@example.com", "https://example.com:0",
      "https://example.com:99999", "https://exa mple.com",
    ])
  func whatIsNoOriginIsNoPattern(text: String) {
    #expect(RefererPattern(text) == nil)
  }
}
