import Accounts
import Ledger
import Testing

/// The rest is tried from outside, in Tests/System/test_accounts.py.
@Suite struct AccountExportTests {
  @Test(arguments: [
    ("", ""), ("plain", "plain"), ("é", "é"), ("a,b", "\"a,b\""), ("say \"hi\"", "\"say \"\"hi\"\"\""),
    ("two\nlines", "\"two\nlines\""), ("\r", "\"'\r\""), (" x", "\" x\""), ("x ", "x "),
    ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@sum", "'@sum"), ("\tx", "'\tx"), ("'x", "''x"), ("a=1", "a=1"),
    ("=a,\"b\"", "\"'=a,\"\"b\"\"\""), ("[1,2]", "\"[1,2]\""), ("12", "12"),
  ])
  func fields(text: String, field: String) {
    var written: [UInt8] = []
    written.append(csv: Array(text.utf8))
    #expect(String(decoding: written, as: UTF8.self) == field)
  }

  @Test func moments() {
    for (moment, text) in [
      (0, "1970-01-01T00:00:00.000Z"), (1_767_225_600_123, "2026-01-01T00:00:00.123Z"),
      (951_782_399_999, "2000-02-28T23:59:59.999Z"), (-1, "1969-12-31T23:59:59.999Z"),
    ] as [(Milliseconds, String)] {
      var written: [UInt8] = []
      written.append(iso8601: moment)
      #expect(String(decoding: written, as: UTF8.self) == text)
    }
  }
}
