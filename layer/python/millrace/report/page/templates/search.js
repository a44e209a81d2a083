"use strict";
for (const field of document.querySelectorAll(".search")) {
  const rows = [...field.nextElementSibling.querySelectorAll("tbody tr")].map((row) => [row, row.textContent.toLowerCase()]);
  const [input, told] = [field.querySelector("input"), field.querySelector("output")];
  field.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let found = 0;
    for (const [row, text] of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      found += row.hidden ? 0 : 1;
    }
    told.textContent = `${found} of ${rows.length}`;
  });
}
