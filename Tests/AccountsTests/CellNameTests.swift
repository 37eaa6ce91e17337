import Accounts
import Ledger
import Testing

@Suite struct CellNameTests {
  @Test(arguments: ["a", "eu1", "eu", "z9", "abcdefgh", "a1234567", "live", "test", "pk"])
  func names(text: String) { #expect(CellName(text)?.description == text) }

  @Test(
    arguments: [
      "", "1", "1eu", "EU1", "eu-1", "eu_1", "eu 1", "eu1 ", "abcdefghi", "é", "e\u{301}", "eu\u{301}", "ｅu", "eu1\n",
      "\u{212A}", "eu.1", "pk_live",
    ])
  func noNames(text: String) { #expect(CellName(text) == nil) }

  @Test(arguments: Mode.allCases, [nil, "a", "eu1", "abcdefgh"])
  func aKeyCarriesItsCell(mode: Mode, name: String?) throws {
    let cell = name.flatMap { CellName($0) }
    for _ in 0..<200 {
      let key = try NewAPIKey(mode: mode, cell: cell)
      let beginning = "pk_\(mode.name)_" + (name.map { $0 + "_" } ?? "")
      #expect(key.secret.hasPrefix(beginning) && key.secret.utf8.count == beginning.utf8.count + 43)
      #expect(CellName(ofKey: key.secret) == cell)
      #expect(key.prefix == String(key.secret.prefix(beginning.count + 8)))
      #expect(NewAPIKey.prefix(of: key.secret) == key.prefix)
      // What a client has noted of a cell's key can be imported elsewhere, and stays what it is.
      let imported = try #require(
        NewAPIKey(imported: key.secret, name: "", allowedNetworks: [], allowedReferers: []))
      #expect(imported.hash == key.hash && imported.prefix == key.prefix && imported.mode == mode)
    }
  }

  /// However a key without a name begins: its length says that it has none.
  @Test(arguments: ["eu1_", "a_", "abcdefgh_", "_", "__", "eu1_eu1_", "-_"])
  func aKeyWithoutANameIsNotTakenForOneWithAName(beginning: String) {
    let key = "pk_live_" + beginning + String(repeating: "x", count: 43 - beginning.utf8.count)
    #expect(CellName(ofKey: key) == nil)
    #expect(NewAPIKey.prefix(of: key) == String(key.prefix(16)))
    // A name before it is another key's.
    #expect(CellName(ofKey: "pk_live_us7_" + key.dropFirst(8))?.description == "us7")
  }

  @Test func whatIsNoKeyOfACellHasNoName() {
    let random = String(repeating: "x", count: 43)
    for text in [
      "", "pk_live_", "pk_live__" + random, "pk_live_EU1_" + random, "pk_live_1eu_" + random,
      "pk_live_eu1_" + random + "x",
      "pk_live_eu1_" + random.dropLast(), "pk_live_abcdefghi_" + random, "pk_dead_eu1_" + random,
      "PK_live_eu1_" + random,
      "pk_live_eu1-" + random, "pk_live_e\u{301}1_" + random, "pk_live_eu1_" + random.dropLast() + "!",
      " pk_live_eu1_" + random, "eu1_" + random,
    ] { #expect(CellName(ofKey: text) == nil, "\(text)") }
  }
}
