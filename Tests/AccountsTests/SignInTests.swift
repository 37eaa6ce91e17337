import Accounts
import Fairness
import Ledger
import LedgerSimulation
import Testing

@Suite struct SignInTests {
  // MARK: Passwords

  /// RFC 7914's fourth vector would take 1 GiB; this is its third, and the second, as this program would keep them.
  @Test(arguments: [
    (
      "pleaseletmein", "SodiumChloride", 16_384, 8, 1,
      "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    ),
    (
      "password", "NaCl", 1024, 8, 16,
      "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
    ),
  ])
  func vectors(password: String, salt: String, rounds: Int, blockSize: Int, parallelism: Int, hash: String) throws {
    let kept = PasswordHash(text: "scrypt$\(rounds)$\(blockSize)$\(parallelism)$\(hex(bytes(salt)))$\(hash)")
    #expect(try kept.matches(password))
    #expect(try !kept.matches(password + " "))
  }

  @Test func aPasswordMatchesItsOwnHashAlone() throws {
    let hash = try PasswordHash(of: "correct horse")
    #expect(try hash.matches("correct horse"))
    for other in ["Correct horse", "correct hors", "correct horse ", ""] {
      #expect(try !hash.matches(other), "\(other)")
    }
    #expect(hash.text.wholeMatch(of: /scrypt\$16384\$8\$5\$[0-9a-f]{32}\$[0-9a-f]{64}/) != nil)
    let another = try PasswordHash(of: "correct horse")
    #expect(another != hash)
    #expect(try another.matches("correct horse"))
    // What is stored is read again.
    #expect(try PasswordHash(text: hash.text).matches("correct horse"))
  }

  @Test func howItWasTypedDoesNotMatter() throws {
    #expect(try PasswordHash(of: "caf\u{e9} au lait").matches("cafe\u{301} au lait"))
  }

  @Test(arguments: [
    "", "scrypt", "scrypt$16384$8$1$00", "scrypt$16384$8$1$00$", "scrypt$16384$8$1$0$00", "scrypt$16384$8$1$00$0g",
    "bcrypt$16384$8$1$00$00", "scrypt$x$8$1$00$00", "scrypt$16384$8$1$00$00$00", " scrypt$16384$8$1$00$00",
    "scrypt$0$8$1$00$00", "scrypt$15$8$1$00$00", "scrypt$-2$8$1$00$00", "scrypt$16384$0$1$00$00",
    "scrypt$1073741824$8$1$00$00",
  ])
  func aTextThatIsNoHashIsSaidToBeNone(text: String) {
    #expect(throws: (any Error).self) { try PasswordHash(text: text).matches("") }
  }

  // MARK: Email addresses

  @Test(arguments: [
    ("a@b", "a@b"), ("Alice@Example.COM", "alice@example.com"), (" a@b\n", "a@b"), ("a@b@c", "a@b@c"),
    ("É@example.com", "É@example.com"), ("a+b@[192.0.2.1]", "a+b@[192.0.2.1]"),
    (String(repeating: "a", count: 252) + "@b", String(repeating: "a", count: 252) + "@b"),
  ])
  func addresses(text: String, kept: String) throws {
    #expect(try #require(EmailAddress(text)).description == kept)
  }

  @Test(arguments: [
    "", "@", "ab", "a@", "@b", "a b@c", "a@b\nc@d", "a\0@b", "a\u{85}@b", String(repeating: "a", count: 253) + "@b",
  ])
  func whatIsNoAddress(text: String) { #expect(EmailAddress(text) == nil) }

  // MARK: Sessions

  @Test func tokens() throws {
    let token = try SessionToken()
    #expect(token.text.wholeMatch(of: /[0-9a-f]{64}/) != nil)
    let again = try #require(SessionToken(token.text))
    #expect(again.digest == token.digest && again.formToken == token.formToken)
    let tokens = try (0..<100).map { _ in try SessionToken() }
    #expect(Set(tokens.map(\.text) + tokens.map(\.formToken)).count == 200)
    #expect(Set(tokens.map(\.digest)).count == 100)
    #expect(token.digest.bytes.count == 32)
    // The form's token does not give the session's away.
    #expect(token.formToken != token.text && hex(token.digest.bytes) != token.formToken)
    for text in ["", "0", String(repeating: "g", count: 64), token.text + "00", String(token.text.dropLast())] {
      #expect(SessionToken(text) == nil)
    }
  }

  // MARK: Names

  @Test func names() {
    let longest = String(repeating: "é", count: 100)
    for name in ["a", "My game", " a ", "e\u{301}", "👩‍👩‍👧", longest] {
      #expect(AccountName.isValid(name) && KeyName.isValid(name), "\(name)")
    }
    for name in [
      "a\nb", "a\r\n", "\t", "a\0", "\u{85}", "\u{2028}", longest + "e",
      "e" + String(repeating: "\u{301}", count: 600),
    ] {
      #expect(!AccountName.isValid(name) && !KeyName.isValid(name), "\(name)")
    }
    #expect(!AccountName.isValid("") && KeyName.isValid(""))
  }

  @Test func wherePrefixesEnd() {
    #expect(ClientSeed.end(ofPrefix: []) == nil)
    #expect(ClientSeed.end(ofPrefix: [0xFF, 0xFF]) == nil)
    #expect(ClientSeed.end(ofPrefix: [1]) == [2])
    #expect(ClientSeed.end(ofPrefix: [1, 0xFF]) == [2])
    #expect(ClientSeed.end(ofPrefix: [0x7F, 0xFE, 0xFF, 0xFF]) == [0x7F, 0xFF])
  }
}

private func hex(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
