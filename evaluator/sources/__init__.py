"""Where the data of tasks comes from: texts, tables, catalogues, images, series."""
