// documents
