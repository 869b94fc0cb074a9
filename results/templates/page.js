// Sorts a table when a heading is clicked, the rows of each task by themselves: a column of numbers by the number at the
// start of each cell, any other column by its text. A cell of such a column without a number comes last in both
// directions.
// A heading holds no button element, as browsers repeat none that does on the pages of a print.
for (const button of document.querySelectorAll("thead span")) button.addEventListener("click", () => {
  const heading = button.parentElement;
  const row = heading.parentElement;
  const table = row.closest("table");
  const column = [...row.children].indexOf(heading);
  const numeric = heading.classList.contains("n");
  const ascending = heading.ariaSort ? heading.ariaSort !== "ascending" : !numeric;
  for (const other of row.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");

  const valueOf = line => {
    const text = line.children[column].textContent.trim();
    if (!numeric) return text;
    const number = /^[-−+]?[\d.]+(e[-+]?\d+)?/i.exec(text);
    if (number) return parseFloat(number[0].replace("−", "-"));
    return text.startsWith("∞") ? Infinity : null;
  };
  const compare = (a, b) => numeric ? Math.sign(a - b) || 0 : a.localeCompare(b, "en", {numeric: true});
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter(line => !line.classList.contains("task"));
    const lines = rows.map((line, index) => ({line, index, value: valueOf(line)}));
    lines.sort((a, b) => {
      if (a.value === null || b.value === null) return (a.value === null) - (b.value === null) || a.index - b.index;
      return (ascending ? 1 : -1) * compare(a.value, b.value) || a.index - b.index;
    });
    body.append(...lines.map(entry => entry.line));
  }
});
for (const button of document.querySelectorAll("thead span")) button.addEventListener("keydown", event => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  button.click();
});

// Where a table has been scrolled, an edge stands beside its first column, which stays.
for (const box of document.querySelectorAll(".scroll")) {
  box.addEventListener("scroll", () => box.classList.toggle("moved", box.scrollLeft > 0), {passive: true});
}

// What is folded is open in print.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const each of folded) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of folded) each.open = false;
});
