for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
  const text = (row, column) => row.cells[column].textContent.trim();
  for (const head of heads) {
    if (!head.firstElementChild) continue;
    head.firstElementChild.onclick = () => {
      const column = head.cellIndex, number = head.classList.contains("n");
      const [first, second] = number ? ["descending", "ascending"] : ["ascending", "descending"];
      const order = head.getAttribute("aria-sort") === first ? second : first, up = order === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const empty = key => number ? Number.isNaN(key) : key === "";
      const key = row => number ? parseFloat(text(row, column)) : text(row, column);
      const compare = number ? (a, b) => a - b : new Intl.Collator(undefined, {numeric: true}).compare;
      const rows = [...body.rows].map(row => [key(row), row]);
      rows.sort(([a], [b]) => empty(a) - empty(b) || (empty(a) ? 0 : (up ? 1 : -1) * compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    };
  }
  const search = document.querySelector(`input[data-for="${table.id}"]`);
  if (!search) continue;
  const said = search.parentElement.querySelector("output"), rows = [...body.rows];
  const words = rows.map(row => row.textContent.toLowerCase());
  search.parentElement.hidden = false;
  search.oninput = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    rows.forEach((row, i) => {
      const fits = wanted.every(word => words[i].includes(word));
      row.hidden = !fits;
      n += fits;
    });
    said.textContent = wanted.length ? `${n} of ${rows.length}` : "";
  };
}
