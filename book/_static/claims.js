/* The table of the papers' claims is sorted and filtered here; without this script it stands there whole. */
(async () => {
  const VERDICTS = "●◐▲✕○–"; // the best first
  const tables = [...document.querySelectorAll("article table:has(.claims)")];
  const table = tables.find((each) => !each.querySelector("svg.track"));
  if (!table) return;
  const DataTable = await window.dataTables;
  const folder = (row) => row.querySelector("a").getAttribute("href").split("/")[0]; // of the claim's experiment
  const paper = (row) => folder(row).replace(/^./, (letter) => letter.toUpperCase());
  const verdict = (row) => row.cells[row.cells.length - 1].textContent.trim();
  const rank = (text) => VERDICTS.indexOf(text[0]);

  const rows = [...table.tBodies[0].rows];
  for (const row of rows) {
    for (const cell of [row.cells[1], row.cells[2]]) { // the paper's numbers and ours: by the first of them
      cell.dataset.order = cell.textContent.replaceAll(",", "").match(/\d+(\.\d+)?/)?.[0] ?? -1;
    }
    row.cells[4].dataset.order = rank(verdict(row));
  }
  const layout = { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null };
  const claims = new DataTable(table, { autoWidth: false, layout, order: [], paging: false });

  const form = document.createElement("form");
  form.className = "claims-filters";
  const shown = document.createElement("output");
  const count = () => (shown.value = `${claims.rows({ search: "applied" }).count()} of ${rows.length} claims`);
  const choose = (name, kind, order) => {
    const select = document.createElement("select");
    select.add(new Option("all", ""));
    [...new Set(rows.map(kind))].sort(order).forEach((value) => select.add(new Option(value)));
    claims.search.fixed(name, (text, data, index) => !select.value || kind(claims.row(index).node()) === select.value);
    const label = document.createElement("label");
    label.append(name, " ", select);
    form.append(label);
  };
  choose("Paper", paper, () => 0);
  choose("Verdict", verdict, (one, other) => rank(one) - rank(other));
  form.append(shown);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => { claims.draw(); count(); });
  window.addEventListener("beforeprint", () => { form.reset(); claims.order([]).draw(); count(); });
  count();
  const scrolled = claims.table().container().closest(".pst-scrollable-table-container");
  (scrolled ?? claims.table().container()).before(form);
})();
